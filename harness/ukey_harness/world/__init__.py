"""The other side, run for tests: the certificate authority, the portal and their one clock."""
