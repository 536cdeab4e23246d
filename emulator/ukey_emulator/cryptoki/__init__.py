"""The PKCS#11 face of the key: one file per chapter of the standard's functions."""
