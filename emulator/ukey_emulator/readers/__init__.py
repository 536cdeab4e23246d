"""The PC/SC face: readers with the keys as cards in them."""
