"""What lies on a PIV card: keys and certificates, by the key reference they lie under."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import load_der_public_key

from ukey_client.errors import CertificateDamaged, KeyUnsuitable
from ukey_client.token.piv import keys, labels, objects
from ukey_client.token.piv.card import PivCard
from ukey_client.token.piv.labels import Label, Labels
from ukey_client.token.piv.slots import (
    KEY_HISTORY,
    LABELS,
    PIN,
    PRIMARY,
    RETIRED,
    certificate_tag,
    name_of,
)
from ukey_client.token.port import HeldCertificate, common_name

_ALGORITHM, _PUBLIC_KEY = 0x01, 0x04  # in the metadata of a key


@dataclass(frozen=True)
class Place:
    """A key reference and what lies under it.

    `key` is the public half of its key pair, None where there is none or the card does not tell;
    has_key: whether there is a pair, as far as the card tells: a certificate speaks for its key.
    """

    reference: int
    certificate: HeldCertificate | None
    key: CertificatePublicKeyTypes | None
    has_key: bool
    label: Label | None

    @property
    def id(self) -> bytes:
        """What joins key and certificate: SHA-1 of the public key, or the key reference."""
        if self.key is not None:
            return keys.identifier_of(self.key)
        return bytes([self.reference])


@dataclass
class Contents:
    """Everything that was found on the card."""

    places: list[Place] = field(default_factory=list)
    labels: Labels = field(default_factory=dict)

    @property
    def certificates(self) -> list[HeldCertificate]:
        """All certificates; one that lies in two places is given once, where its key is."""
        found: dict[bytes, HeldCertificate] = {}
        for place in sorted(self.places, key=lambda one: not one.has_key):
            if place.certificate is not None:
                found.setdefault(place.certificate.der, place.certificate)
        return list(found.values())

    def of_key(self, id_: bytes) -> Place | None:
        """Find the place of the key pair with this identifier."""
        return next((one for one in self.places if one.has_key and one.id == id_), None)

    def all_of(self, id_: bytes) -> list[Place]:
        """Find every place where the key pair, or its certificate, lies."""
        return [
            one
            for one in self.places
            if (one.has_key and one.id == id_)
            or (one.certificate is not None and one.certificate.id == id_)
        ]


def read(card: PivCard) -> Contents:
    """Read the whole card; nobody must be logged in."""
    marks = labels.read(card.get_data(LABELS))
    telling = card.metadata(PIN) is not None
    places = [
        _read_place(card, reference, marks, telling=telling)
        for reference in _references(card, marks)
    ]
    return Contents([one for one in places if one.certificate or one.has_key], marks)


def is_free(card: PivCard, reference: int) -> bool:
    """Whether a new key can be put there without anything being lost."""
    return (
        card.get_data(certificate_tag(reference)) is None
        and key_under(card, reference) is None
        and reference not in labels.read(card.get_data(LABELS))
    )


def key_under(card: PivCard, reference: int) -> CertificatePublicKeyTypes | None:
    """Tell the public half of the key pair there, None without one or where it is not told."""
    told = card.metadata(reference)
    if not told or not told.get(_ALGORITHM) or _PUBLIC_KEY not in told:
        return None
    try:
        return keys.public_key(told[_ALGORITHM][0], told[_PUBLIC_KEY])
    except KeyUnsuitable:
        return None


def _references(card: PivCard, marks: Labels) -> Iterable[int]:
    """Give the key references that may be in use: the retired ones by the key history."""
    if objects.retired_keys(card.get_data(KEY_HISTORY)) == 0:
        return [*PRIMARY, *(one for one in RETIRED if one in marks)]
    return [*PRIMARY, *RETIRED]


def _read_place(card: PivCard, reference: int, marks: Labels, *, telling: bool) -> Place:
    content = card.get_data(certificate_tag(reference))
    mark = marks.get(reference)
    held = None
    if content is not None:
        held = _held(reference, objects.read_certificate(content), mark.text if mark else None)
    if held is None and mark is None:
        # Who cares for keys without certificate? Nobody can say whose they are.
        return Place(reference, None, None, has_key=False, label=None)
    if telling:
        key = key_under(card, reference)
        has_key = key is not None
    else:
        key, has_key = _key_in(held) or _key_of(mark), True
    return Place(reference, held, key, has_key, mark)


def _held(reference: int, der: bytes, label: str | None) -> HeldCertificate:
    held = HeldCertificate(bytes([reference]), label or name_of(reference), der)
    key = _key_in(held)
    if key is None:
        return held
    owner = common_name(held.certificate.subject)
    return HeldCertificate(keys.identifier_of(key), label or owner or held.label, der)


def _key_of(mark: Label | None) -> CertificatePublicKeyTypes | None:
    if mark is None or not mark.key:
        return None
    try:
        key = load_der_public_key(mark.key)
    except (ValueError, UnsupportedAlgorithm):
        return None
    return key if isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey) else None


def _key_in(held: HeldCertificate | None) -> CertificatePublicKeyTypes | None:
    if held is None:
        return None
    try:
        return held.certificate.public_key()
    except (CertificateDamaged, ValueError):
        return None
