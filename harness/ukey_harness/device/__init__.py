"""The device under test: what it claims, what it shows, who plugs and unplugs it."""
