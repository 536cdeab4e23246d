"""ATTEST, Yubico's F9: the key's own word, as a certificate, that it made a key pair itself.

A key comes from the factory with a key pair and a certificate for this in F9 and 5FFF01. Both are
made when they are first asked for: most keys are never asked.
"""

import datetime as dt

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from ukey_emulator.card import tlv
from ukey_emulator.card.apdu import Command
from ukey_emulator.card.status import SW, CardRefusal
from ukey_emulator.chip import keys
from ukey_emulator.chip.keys import der
from ukey_emulator.chip.keys.edwards import EdwardsPrivate

from .held import ATTESTATION, SLOTS, Algorithm, Held, PinPolicy, TouchPolicy
from .piv import Piv
from .yubico import VERSION, serial_of

CERTIFICATE = 0x5FFF01
"""The data object with the certificate of F9."""

_PREPARED = "attestation"
_CERTIFICATE, _COMPRESSION, _CHECK = 0x70, 0x71, 0xFE
_NAME = "ukeylab PIV Attestation"
# A card has no clock. The last moment stands for none (RFC 5280 §4.1.2.5).
_FROM = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
_UNTIL = dt.datetime(9999, 12, 31, 23, 59, 59, tzinfo=dt.UTC)

# Yubico's extensions, whose values are no DER but for the serial number.
_YUBICO = "1.3.6.1.4.1.41482.3"
_FIRMWARE, _SERIAL, _POLICY, _FORM_FACTOR = (
    x509.ObjectIdentifier(f"{_YUBICO}.{number}") for number in (3, 7, 8, 9)
)
_KEYCHAIN = b"\x01"

_SigningKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


def attest(piv: Piv, command: Command) -> bytes:
    """Attest the key in P1: give an X.509 certificate for it, signed by F9.

    6A86 for what is no slot that can be attested, 6A80 for a key that was imported or is not there,
    6A88 where there is no key or no certificate to attest with.
    """
    slot = command.p1
    if slot not in SLOTS or slot == ATTESTATION or command.p2 or command.data:
        raise CardRefusal(SW.INCORRECT_P1_P2, f"{slot:02X} is not attested")
    held = piv.keys.held(slot)
    if held is None or not held.generated:
        raise CardRefusal(SW.INCORRECT_DATA, f"no key that was made in {slot:02X}")
    prepare(piv)
    builder = _issued(piv, held, x509.Name([_common_name(f"{_NAME} {slot:02x}")]))
    for identifier, value in _told(piv, held).items():
        extension = x509.UnrecognizedExtension(identifier, value)
        builder = builder.add_extension(extension, critical=False)
    return _signed(piv, builder)


def prepare(piv: Piv) -> None:
    """See to it that F9 is as the factory leaves it, unless somebody has changed it since."""
    with piv.chip.undisturbed():
        if piv.chip.noted(_PREPARED) is None:
            _prepare(piv)


def _prepare(piv: Piv) -> None:
    held = piv.keys.held(ATTESTATION)
    if held is None:
        held = piv.keys.put(
            ATTESTATION,
            Algorithm.ECC_P256,
            Algorithm.ECC_P256.make(),
            PinPolicy.of(ATTESTATION),
            TouchPolicy.NEVER,
            generated=True,
        )
    if piv.data.get(CERTIFICATE) is None:
        name = x509.Name([_common_name(_NAME)])
        authority = x509.BasicConstraints(ca=True, path_length=0)
        builder = (
            _begun(held, name, name)
            .not_valid_before(_FROM)
            .not_valid_after(_UNTIL)
            .add_extension(authority, critical=True)
        )
        certificate = tlv.pack(_CERTIFICATE, _signed(piv, builder))
        empty = tlv.pack(_COMPRESSION, b"\0") + tlv.pack(_CHECK, b"")
        piv.data.put(CERTIFICATE, certificate + empty)
    piv.chip.exchange((), (), {_PREPARED: b""})


def _common_name(name: str) -> "x509.NameAttribute[str]":
    return x509.NameAttribute(NameOID.COMMON_NAME, name)


def _begun(held: Held, subject: x509.Name, issuer: x509.Name) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(held.public_key)
        .serial_number(x509.random_serial_number())
    )


def _told(piv: Piv, held: Held) -> dict[x509.ObjectIdentifier, bytes]:
    serial = serial_of(piv.chip.identity.serial)
    return {
        _FIRMWARE: bytes(VERSION),
        _SERIAL: der.element(der.INTEGER, serial.to_bytes(serial.bit_length() // 8 + 1)),
        _POLICY: bytes([held.pin_policy, held.touch_policy]),
        _FORM_FACTOR: _KEYCHAIN,
    }


def _issued(piv: Piv, held: Held, subject: x509.Name) -> x509.CertificateBuilder:
    """Begin a certificate in the name of the one of F9, and for its time.

    6A88 if that was taken away or something else put there.
    """
    content = piv.data.get(CERTIFICATE) or b""
    try:
        issuer = x509.load_der_x509_certificate(tlv.members(content).get(_CERTIFICATE, b""))
        return (
            _begun(held, subject, issuer.subject)
            .not_valid_before(issuer.not_valid_before_utc)
            .not_valid_after(issuer.not_valid_after_utc)
        )
    except (CardRefusal, ValueError) as error:
        raise CardRefusal(SW.REFERENCED_DATA_NOT_FOUND, str(error)) from None


def _signed(piv: Piv, builder: x509.CertificateBuilder) -> bytes:
    key = _signing_key(piv)
    digest: hashes.SHA256 | hashes.SHA384 | None = hashes.SHA256()
    if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP384R1):
        digest = hashes.SHA384()
    elif isinstance(key, ed25519.Ed25519PrivateKey):
        digest = None
    return builder.sign(key, digest).public_bytes(Encoding.DER)


def _signing_key(piv: Piv) -> _SigningKey:
    material = keys.load(piv.keys.private(ATTESTATION))
    match material:
        case EdwardsPrivate(ed25519.Ed25519PrivateKey() as key):
            return key
        case rsa.RSAPrivateKey() | ec.EllipticCurvePrivateKey():
            return material
        case _:
            raise CardRefusal(SW.REFERENCED_DATA_NOT_FOUND, "F9 has no key that signs")
