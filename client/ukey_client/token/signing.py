"""What a signature is made of, whichever way the key is reached."""

import hashlib
from typing import Final

from ukey_client.errors import KeyUnsuitable

# DER of DigestInfo up to the digest itself, RFC 8017 §9.2 note 1.
_DIGEST_INFO: Final = {
    "sha256": bytes.fromhex("3031300d060960864801650304020105000420"),
    "sha384": bytes.fromhex("3041300d060960864801650304020205000430"),
    "sha512": bytes.fromhex("3051300d060960864801650304020305000440"),
}


def require_known(digest: str) -> None:
    """Raise KeyUnsuitable for a digest that is not SHA-256, SHA-384 or SHA-512."""
    if digest not in _DIGEST_INFO:
        raise KeyUnsuitable(digest)


def digest_info(data: bytes, digest: str) -> bytes:
    """Hash data into the DER of a DigestInfo (RFC 8017 §9.2)."""
    require_known(digest)
    return _DIGEST_INFO[digest] + hashlib.new(digest, data).digest()
