"""The data objects of the PIV application, which are objects of the token (README.md)."""

from cryptography.x509 import load_der_x509_certificate

from ukey_emulator.chip import Chip, making
from ukey_emulator.chip.objects import Object
from ukey_emulator.chip.objects.kinds import TRUE, boolean, number
from ukey_emulator.terms import CKA, CKO

from . import certificate, defaults, tags
from .containers import Containers

_APPLICATION = b"PIV"
_AS_PUT = "piv certificate {:06x}"
"""The note of how a certificate was put last, which may have been compressed."""


class DataObjects:
    """Data objects by their tags; what is given and put is the content of the template.

    Certificates are those of the slots. Whether this card may read or change them now is not asked
    here, but for `is_private`.
    """

    def __init__(self, chip: Chip, keys: Containers) -> None:
        self._chip = chip
        self._keys = keys

    def is_private(self, tag: int) -> bool:
        """Tell whether the PIN is needed to read a data object, be it there or not."""
        with self._chip.undisturbed():
            found = self._certificate(tag) or self._last(tag)
            return tags.named(tag).private if found is None else found.private

    def get(self, tag: int) -> bytes | None:
        """Give the content of a data object, None if there is none.

        CardRefusal with 6982 for a private one while no PIN has opened the token.
        """
        with self._chip.undisturbed():
            held = self._certificate(tag)
            if held is not None:
                value = self._keys.opened(held).attributes[CKA.VALUE]
                put = self._chip.noted(_AS_PUT.format(tag))
                if put and certificate.unpack(put) == value:
                    return put
                return certificate.pack(value)
            found = self._last(tag)
            if found is not None:
                return self._keys.opened(found).attributes[CKA.VALUE]
            return self._default(tag)

    def put(self, tag: int, content: bytes | None) -> None:
        """Put a data object in the place of the one that was there, or none.

        6985 if the one that was there may not be destroyed; CKR_USER_PIN_NOT_INITIALIZED for a
        private one where the token has no PIN yet.
        """
        with self._chip.undisturbed():
            slot = tags.CERTIFICATES.get(tag)
            old = self._keys.data(tags.identifier(tag))
            if slot is not None and content:
                value = certificate.unpack(content)
                subject = value and _subject_of(value)
                put = {_AS_PUT.format(tag): content}
                if value and subject and self._keys.put_certificate(slot, subject, value, old, put):
                    return
            new = [self._made(tag, content)] if content else []
            self._keys.exchange(old, new, certificates_of=slot)

    def _certificate(self, tag: int) -> Object | None:
        slot = tags.CERTIFICATES.get(tag)
        return None if slot is None else self._keys.certificate(slot)

    def _last(self, tag: int) -> Object | None:
        stored = self._keys.data(tags.identifier(tag))
        return stored[-1] if stored else None

    def _made(self, tag: int, content: bytes) -> Object:
        named = tags.named(tag)
        template: dict[int, bytes] = {
            CKA.CLASS: number(CKO.DATA),
            CKA.TOKEN: TRUE,
            CKA.PRIVATE: boolean(named.private),
            CKA.LABEL: named.name.encode(),
            CKA.APPLICATION: _APPLICATION,
            CKA.OBJECT_ID: tags.identifier(tag),
            CKA.VALUE: content,
        }
        return making.create(template.items())

    def _default(self, tag: int) -> bytes | None:
        serial = self._chip.identity.serial
        if not self._chip.identity.filled and tag != tags.DISCOVERY:
            return None
        match tag:
            case tags.HOLDER:
                return defaults.holder(serial)
            case tags.CAPABILITIES:
                return defaults.capabilities(serial)
            case tags.DISCOVERY:
                return defaults.discovery()
            case tags.KEY_HISTORY:
                return defaults.key_history(self._keys.certified())
        return None


def _subject_of(value: bytes) -> bytes | None:
    """Give the subject of a certificate in DER, None for what is none."""
    try:
        return load_der_x509_certificate(value).subject.public_bytes()
    except Exception:  # noqa: BLE001 - what is no certificate is kept as it came
        return None
