"""The test cases of the OASIS PKCS#11 Profiles, replayed from their XML files."""
