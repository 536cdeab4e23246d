"""The key as the rest of the client sees it, whatever interface it is reached through."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from types import TracebackType
from typing import Protocol, Self

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

from ukey_client.errors import CertificateDamaged

UNIT_IDENTIFIER = x509.ObjectIdentifier("1.2.156.112586.1.4")
"""Extension that holds the unit's identifier (统一社会信用代码): what a portal binds to."""

_UTF8_STRING, _PRINTABLE_STRING, _IA5_STRING = 0x0C, 0x13, 0x16
_SHORT_FORM = 0x80


@dataclass(frozen=True)
class HeldCertificate:
    """A certificate on a key, with the identifier that joins it to its private key.

    Through PKCS#11 that is their CKA_ID; a PIV card has none: there it is that of `Pair`, or the
    key reference of a certificate that cannot be read.
    """

    id: bytes
    label: str
    der: bytes

    @cached_property
    def certificate(self) -> x509.Certificate:
        """The certificate, parsed; CertificateDamaged if it is none."""
        try:
            return x509.load_der_x509_certificate(self.der)
        except (ValueError, x509.InvalidVersion) as error:
            raise CertificateDamaged(self.label) from error

    @property
    def is_damaged(self) -> bool:
        """Whether this is no certificate at all."""
        try:
            return self.certificate is None
        except CertificateDamaged:
            return True

    @property
    def owner(self) -> str:
        """Common name of the subject: the unit's name (单位名称)."""
        return common_name(self.certificate.subject) or self.label

    @property
    def issuer(self) -> str:
        """Common name of the issuing CA."""
        name = self.certificate.issuer
        return common_name(name) or name.rfc4514_string()

    @property
    def serial(self) -> str:
        """Serial number in upper-case hexadecimal, whole bytes."""
        text = f"{self.certificate.serial_number:X}"
        return text.zfill(len(text) + len(text) % 2)

    @property
    def not_before(self) -> datetime:
        """Begin of validity, aware, UTC."""
        return self.certificate.not_valid_before_utc

    @property
    def not_after(self) -> datetime:
        """End of validity, aware, UTC."""
        return self.certificate.not_valid_after_utc

    @property
    def unit_identifier(self) -> str | None:
        """Identifier of the unit (统一社会信用代码), None where the certificate has none."""
        try:
            extension = self.certificate.extensions.get_extension_for_oid(UNIT_IDENTIFIER)
        except (x509.ExtensionNotFound, ValueError):
            return None
        value = extension.value
        return _short_string(value.value) if isinstance(value, x509.UnrecognizedExtension) else None

    @property
    def is_authority(self) -> bool:
        """Whether this is a CA's certificate (RFC 5280 §4.2.1.9)."""
        try:
            constraints = self.certificate.extensions.get_extension_for_class(x509.BasicConstraints)
        except (x509.ExtensionNotFound, ValueError):
            return False
        return constraints.value.ca


@dataclass(frozen=True)
class PinState:
    """What the key tells of its user PIN.

    `tries_left` is None where the key does not tell the number; the flags are those of
    CK_TOKEN_INFO (PKCS#11 v3.2 §3.4).
    """

    tries_left: int | None
    low: bool
    final_try: bool
    locked: bool


@dataclass(frozen=True)
class PinLimits:
    """How many bytes a PIN may have, both ends included; None where the key does not tell."""

    shortest: int | None
    longest: int | None


@dataclass(frozen=True)
class Pair:
    """A key pair on the key; both halves bear `id` (SHA-1 of the SubjectPublicKey bits)."""

    id: bytes
    public_key: CertificatePublicKeyTypes


@dataclass(frozen=True)
class Holding:
    """What lies on the key under one identifier: a certificate and its keys, or a part of that.

    `key_labels` are the labels of its private and public keys.
    """

    id: bytes
    certificate: HeldCertificate | None
    has_private_key: bool
    key_labels: frozenset[str]


class Token(Protocol):
    """One key, open. Every method raises TokenRemoved when the key has gone."""

    @property
    def label(self) -> str:
        """Name of the token."""

    @property
    def serial(self) -> str:
        """Serial number of the token."""

    @property
    def model(self) -> str:
        """Model, as the key tells it."""

    @property
    def logged_in(self) -> bool:
        """Whether `login` has been done."""

    @property
    def has_own_pin_entry(self) -> bool:
        """Whether the PIN is typed on the key itself; then login takes None."""

    def certificates(self) -> list[HeldCertificate]:
        """Certificates of holders whose private key is on this key.

        Before login private keys are not seen: then all that may have one are given.
        """

    def authorities(self) -> list[x509.Certificate]:
        """Certificates of CAs that lie on the key."""

    def certificate_by_id(self, id_: bytes) -> HeldCertificate | None:
        """Read the certificate with this identifier anew from the key."""

    def pin_state(self) -> PinState:
        """Read the state of the user PIN anew from the key."""

    def pin_limits(self) -> PinLimits:
        """How long a PIN may be."""

    def login(self, pin: str | None) -> None:
        """Log in with the PIN; PinIncorrect, PinLocked, PinNotSet."""

    def logout(self) -> None:
        """End the login; nothing happens if there is none."""

    def change_pin(self, old: str, new: str) -> None:
        """Set a new PIN; PinIncorrect, PinLocked, PinUnacceptable."""

    def sign(self, certificate: HeldCertificate, data: bytes, digest: str = "sha256") -> bytes:
        """Sign with the certificate's key, after login.

        The result is what CMS and X.509 want: RSASSA-PKCS1-v1_5, or the DER of ECDSA-Sig-Value.
        """

    def seal_picture(self) -> bytes | None:
        """Read the picture of the electronic seal (PNG), None if the key has none.

        SealHidden before login where the key shows it only afterwards.
        """

    def holdings(self) -> list[Holding]:
        """Everything that has an identifier, whole or not, after login."""

    def generate_pair(self, like: HeldCertificate, label: str | None = None) -> Pair:
        """Make a new key pair of the same kind as the certificate's, after login.

        Without `label` it is labelled like the certificate.
        """

    def sign_with(self, id_: bytes, data: bytes, digest: str = "sha256") -> bytes:
        """Sign with the private key of this identifier, after login; form as in `sign`."""

    def install_certificate(self, der: bytes, id_: bytes, label: str) -> HeldCertificate:
        """Write a certificate onto the key and read it back, after login."""

    def relabel(self, id_: bytes, label: str) -> None:
        """Give certificate and both keys of this identifier another label, after login."""

    def remove(self, id_: bytes) -> None:
        """Take both keys and, last, the certificate of this identifier off the key, after login.

        As long as anything is left of them, the certificate says what it was.
        """

    def close(self) -> None:
        """Log out and let go of the key; no error leaves this."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


def common_name(name: x509.Name) -> str:
    """First common name in a distinguished name, empty if it has none."""
    attributes = name.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return str(attributes[0].value) if attributes else ""


def describe(certificates: Sequence[HeldCertificate]) -> tuple[str, ...]:
    """One line for each certificate: owner, serial number and end."""
    return tuple(
        f"{one.owner}（序列号 {one.serial}，有效期至 {one.not_after.astimezone():%Y-%m-%d}）"
        for one in certificates
    )


def _short_string(der: bytes) -> str | None:
    """Text of a DER string below 128 bytes; None if it is anything else."""
    if len(der) < 2 or der[0] not in {_UTF8_STRING, _PRINTABLE_STRING, _IA5_STRING}:  # noqa: PLR2004 - tag and length
        return None
    if der[1] >= _SHORT_FORM or der[1] != len(der) - 2:
        return None
    try:
        return der[2:].decode()
    except UnicodeDecodeError:
        return None
