"""The key as a card: bytes to typed commands to applets."""
