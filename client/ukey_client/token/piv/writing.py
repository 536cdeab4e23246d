"""Writing on a PIV card: key pairs, certificates and their labels."""

from dataclasses import replace
from typing import Final

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ukey_client.errors import KeyAbsent, TokenFull
from ukey_client.token.piv import contents, keys, labels, management, objects
from ukey_client.token.piv.card import PivCard
from ukey_client.token.piv.contents import Contents
from ukey_client.token.piv.labels import Label
from ukey_client.token.piv.slots import (
    AUTHENTICATION,
    KEY_MANAGEMENT,
    LABELS,
    RETIRED,
    SIGNATURE,
    certificate_tag,
)
from ukey_client.token.port import HeldCertificate, Pair

_MOVES_KEYS: Final = (5, 7)
"""The version from which on Yubico's cards move and delete keys."""


class Writing:
    """One act of writing, within a transaction and with the PIN presented.

    The management key is proven first: ManagementKeyUnknown. Labels are written before what they
    tell of is made, and taken off after it has gone: what a break leaves behind is recognised.
    """

    def __init__(self, card: PivCard, pin: str, found: Contents) -> None:
        self._card = card
        self._found = found
        self._labels = dict(found.labels)
        management.prove(card, pin)

    def generate(self, like: HeldCertificate, label: str) -> Pair:
        """Make a pair of the kind of the certificate's where nothing is; TokenFull if all is."""
        algorithm = keys.algorithm_of(like.certificate.public_key())
        reference = self._free()
        old = self._found.of_key(like.id)
        home = reference if old is None else old.reference
        self._set_label(reference, Label(label, home))
        key = self._card.generate(reference, algorithm)
        encoded = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        self._set_label(reference, Label(label, home, encoded))
        return Pair(keys.identifier_of(key), key)

    def install(self, der: bytes, id_: bytes, label: str) -> None:
        """Put a certificate beside its key."""
        reference = self._reference_of(id_)
        self._set_label(reference, self._renamed(reference, label))
        self._card.put_data(certificate_tag(reference), objects.write_certificate(der))

    def relabel(self, id_: bytes, label: str) -> None:
        """Give another label, after the pair has come home."""
        reference = self._go_home(self._reference_of(id_))
        self._set_label(reference, self._renamed(reference, label))

    def remove(self, id_: bytes) -> None:
        """Take away keys, certificates and labels, in this order."""
        for place in self._found.all_of(id_):
            if place.has_key and place.id == id_ and self._moves_keys:
                self._card.delete(place.reference)
            if place.certificate is None or place.certificate.id == id_:
                if place.certificate is not None:
                    self._card.put_data(certificate_tag(place.reference), b"")
                self._set_label(place.reference, None)

    def _go_home(self, reference: int) -> int:
        """Move key and certificate to where the predecessor was, if that is free by now.

        The certificate goes first and is taken away last, so that the key always has its own.
        """
        mark = self._labels.get(reference)
        if mark is None or mark.home == reference or not self._moves_keys:
            return reference
        home = mark.home
        certificate = self._card.get_data(certificate_tag(reference))
        there = self._card.get_data(certificate_tag(home))
        if certificate is None or contents.key_under(self._card, home) is not None:
            return reference
        if there not in {None, certificate}:
            return reference
        self._card.put_data(certificate_tag(home), certificate)
        self._card.move(reference, home)
        self._labels[home] = Label(mark.text, home, mark.key)
        self._set_label(reference, None)
        self._card.put_data(certificate_tag(reference), b"")
        return home

    def _free(self) -> int:
        """Choose where a new pair goes.

        A card that moves keys has it among the retired ones until it comes home; on others it
        stays where it is made, and other programs look at the first three only.
        """
        first = (AUTHENTICATION, SIGNATURE, KEY_MANAGEMENT)
        order: list[int] = [*RETIRED, *first] if self._moves_keys else [*first, *RETIRED]
        for reference in order:
            if contents.is_free(self._card, reference):
                return reference
        raise TokenFull

    def _reference_of(self, id_: bytes) -> int:
        place = self._found.of_key(id_)
        if place is None:
            raise KeyAbsent(id_.hex())
        return place.reference

    def _renamed(self, reference: int, text: str) -> Label:
        mark = self._labels.get(reference)
        return replace(mark, text=text) if mark else Label(text, reference)

    def _set_label(self, reference: int, label: Label | None) -> None:
        if label is None:
            if self._labels.pop(reference, None) is None:
                return
        else:
            if self._labels.get(reference) == label:
                return
            self._labels[reference] = label
        self._card.put_data(LABELS, labels.write(self._labels))

    @property
    def _moves_keys(self) -> bool:
        version = self._card.version()
        return version is not None and version >= _MOVES_KEYS
