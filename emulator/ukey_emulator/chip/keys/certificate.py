"""Certificates: what follows from their value (PKCS#11 3.2 §4.6.3)."""

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ukey_emulator.chip.refusal import Refusal
from ukey_emulator.terms import CKA, CKR

_CHECK_LENGTH = 3


def complete(attributes: dict[int, bytes]) -> None:
    """Check that there is a value or an address, and add check value and public key."""
    value = attributes.get(CKA.VALUE, b"")
    if not value:
        if not attributes.get(CKA.URL):
            raise Refusal(CKR.TEMPLATE_INCOMPLETE, "a certificate has a value or a URL")
        return
    digest = hashes.Hash(hashes.SHA1())  # noqa: S303 - the standard names SHA-1
    digest.update(value)
    attributes.setdefault(CKA.CHECK_VALUE, digest.finalize()[:_CHECK_LENGTH])
    try:
        key = x509.load_der_x509_certificate(value).public_key()
        info = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except Exception:  # noqa: BLE001 - a value that is no certificate is kept as it came
        return
    attributes.setdefault(CKA.PUBLIC_KEY_INFO, info)
