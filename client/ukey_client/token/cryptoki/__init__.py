"""The key through PKCS#11, on python-pkcs11."""
