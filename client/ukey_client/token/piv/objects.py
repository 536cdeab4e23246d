"""Data objects of a PIV card, from their content to what they mean and back."""

import zlib
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from ukey_client.token.piv import tlv

_CERTIFICATE, _INFO, _CHECK = 0x70, 0x71, 0xFE
_GZIPPED: Final = 0x01
_LARGEST: Final = 64 * 1024  # bytes of a certificate that was compressed
_TEMPLATE: Final = 0x53
_IMAGE: Final = 0xBC
_PICTURES: Final = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM")
_ROOTS_END, _ROOTS_GO_ON = 0x82, 0x83
_ON_CARD, _OFF_CARD = 0xC1, 0xC2
_GUID: Final = 0x34


def read_certificate(content: bytes) -> bytes:
    """Take the certificate out of its object (SP 800-73-4 Part 1, table 10), gzip undone.

    What is no such object is given as it is: it is for the holder to hear that it is damaged.
    """
    try:
        parts = dict(tlv.parse(content))
    except tlv.TlvError:
        return content
    certificate = parts.get(_CERTIFICATE, content)
    if parts.get(_INFO, b"\0")[:1] == bytes([_GZIPPED]):
        try:
            return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(certificate, _LARGEST)
        except zlib.error:
            return certificate
    return certificate


def write_certificate(der: bytes) -> bytes:
    """Put a certificate into its object, not compressed."""
    return tlv.encode(_CERTIFICATE, der) + tlv.encode(_INFO, b"\0") + tlv.encode(_CHECK)


def read_seal(content: bytes) -> bytes | None:
    """Take the seal's picture out of the object of the face (table 13).

    A unit has no face, but a seal. What is no plain picture is a person's biometric record
    (CBEFF), and no seal. The template around it (53) may have been left on.
    """
    try:
        image = tlv.find(tlv.find(content, _TEMPLATE) or content, _IMAGE)
    except tlv.TlvError:
        return None
    return image if image is not None and image.startswith(_PICTURES) else None


def write_seal(picture: bytes) -> bytes:
    """Put the seal's picture into the object of the face."""
    return tlv.encode(_IMAGE, picture) + tlv.encode(_CHECK)


def read_roots(parts: list[bytes | None]) -> list[x509.Certificate]:
    """Read the authorities from the parts of `msroots`: one PKCS#7, cut in pieces."""
    whole = b""
    try:
        for part in parts:
            for tag, value in tlv.parse(part or b""):
                if tag not in {_ROOTS_END, _ROOTS_GO_ON}:
                    return []
                whole += value
                if tag == _ROOTS_END:
                    return pkcs7.load_der_pkcs7_certificates(whole) if whole else []
    except (tlv.TlvError, ValueError):
        return []
    return []


def write_roots(authorities: list[x509.Certificate], largest: int) -> list[bytes]:
    """Write the authorities as parts of `msroots`, each of at most `largest` bytes."""
    whole = pkcs7.serialize_certificates(authorities, Encoding.DER)
    pieces = [whole[start : start + largest] for start in range(0, len(whole), largest)]
    last = len(pieces) - 1
    return [
        tlv.encode(_ROOTS_END if number == last else _ROOTS_GO_ON, piece)
        for number, piece in enumerate(pieces)
    ]


def retired_keys(content: bytes | None) -> int | None:
    """Tell how many retired keys there are by the key history (table 18); None: not told."""
    try:
        parts = dict(tlv.parse(content or b""))
    except tlv.TlvError:
        return None
    if _ON_CARD not in parts and _OFF_CARD not in parts:
        return None
    return sum(int.from_bytes(parts.get(tag, b""), "big") for tag in (_ON_CARD, _OFF_CARD))


def guid(chuid: bytes | None) -> str:
    """Give the card's GUID from its CHUID (table 9) in hexadecimal, empty if there is none."""
    try:
        return (tlv.find(chuid or b"", _GUID) or b"").hex().upper()
    except tlv.TlvError:
        return ""
