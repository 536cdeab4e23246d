"""What programs asked a PKCS#11 module, kept in a file: recorded, read, played again."""
