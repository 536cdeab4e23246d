"""The PIV application (NIST SP 800-73-5), with the additions that Yubico's programs need."""
