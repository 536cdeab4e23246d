"""The lab: it drives the key, its holder and the world, and judges what they do."""
