"""The key: one port (`port`), and the ways to it."""
