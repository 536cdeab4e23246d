"""The cases of PKCS#11 3.2: raw calls of a module, one file per chapter of the standard."""
