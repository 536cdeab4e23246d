"""Certificates: what follows from their value (PKCS#11 3.2 §4.6)."""

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
)

from ukey_emulator.chip.objects.kinds import as_number
from ukey_emulator.chip.refusal import Refusal
from ukey_emulator.terms import CKA, CKC, CKR

from . import der

_CHECK_LENGTH = 3


def complete(attributes: dict[int, bytes]) -> None:
    """Check that there is a value or an address, and add what the value tells.

    Attributes that the template has are left as they are. CKR_TEMPLATE_INCOMPLETE for a
    certificate with neither value nor address, or with an address and no digests of the keys
    (§4.6.3, table 28); CKR_ATTRIBUTE_VALUE_INVALID for another certificate's check value or public
    key, by which a card would take it for the certificate of that key.
    """
    value = attributes[CKA.VALUE]
    _require_address(attributes)
    if not value:
        return
    digest = hashes.Hash(hashes.SHA1())  # noqa: S303 - the standard names SHA-1
    digest.update(value)
    checked = digest.finalize()[:_CHECK_LENGTH]
    if attributes.setdefault(CKA.CHECK_VALUE, checked) not in (checked, b""):
        raise Refusal(CKR.ATTRIBUTE_VALUE_INVALID, "CKA_CHECK_VALUE is not this certificate's")
    if as_number(attributes[CKA.CERTIFICATE_TYPE]) != CKC.X_509:
        return
    try:
        told = _told(x509.load_der_x509_certificate(value))
    except Exception:  # noqa: BLE001 - a value that is no certificate is kept as it came
        return
    claimed = attributes.get(CKA.PUBLIC_KEY_INFO)
    if claimed and not _same_key(claimed, told[CKA.PUBLIC_KEY_INFO]):
        raise Refusal(CKR.ATTRIBUTE_VALUE_INVALID, "CKA_PUBLIC_KEY_INFO is another key's")
    for attribute, content in told.items():
        attributes[attribute] = attributes.get(attribute) or content


def _same_key(claimed: bytes, info: bytes) -> bool:
    """Tell whether both are of one public key, which can be written in more than one way."""
    if claimed == info:
        return True
    try:
        return load_der_public_key(claimed) == load_der_public_key(info)
    except Exception:  # noqa: BLE001 - the library raises what it likes for what is no key
        return False


def _require_address(attributes: dict[int, bytes]) -> None:
    if not attributes.get(CKA.URL):
        if not attributes[CKA.VALUE]:
            raise Refusal(CKR.TEMPLATE_INCOMPLETE, "a certificate has a value or a URL")
        return
    for attribute in (CKA.HASH_OF_SUBJECT_PUBLIC_KEY, CKA.HASH_OF_ISSUER_PUBLIC_KEY):
        if not attributes.get(attribute):
            raise Refusal(CKR.TEMPLATE_INCOMPLETE, f"with a URL goes CKA_{attribute.name}")


def _told(certificate: x509.Certificate) -> dict[int, bytes]:
    """Give the attributes that a certificate tells of itself."""
    key = certificate.public_key()
    number = certificate.serial_number
    serial = number.to_bytes(number.bit_length() // 8 + 1, "big")
    return {
        CKA.ISSUER: certificate.issuer.public_bytes(),
        CKA.SERIAL_NUMBER: der.element(der.INTEGER, serial),
        CKA.START_DATE: f"{certificate.not_valid_before_utc:%Y%m%d}".encode(),
        CKA.END_DATE: f"{certificate.not_valid_after_utc:%Y%m%d}".encode(),
        CKA.PUBLIC_KEY_INFO: key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
    }
