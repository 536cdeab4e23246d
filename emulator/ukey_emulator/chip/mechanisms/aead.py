"""Authenticated encryption: what GCM, CCM and ChaCha20-Poly1305 have alike.

A cipher says how its parameters are read and how one message is sealed and opened; encryption,
messages and the wrapping of keys follow from that (PKCS#11 3.2 §5.9, §5.11, §6.13).
"""

import secrets
from dataclasses import dataclass
from typing import Protocol

from ukey_emulator.chip.keys import Material
from ukey_emulator.chip.refusal import Refusal
from ukey_emulator.terms import CKF, CKG, CKR

from .base import Ciphering, Mechanism, Opening, Parameter, Sealing
from .messages import Gathered


class Sealer(Protocol):
    """One message that is being sealed."""

    def update(self, data: bytes) -> bytes:
        """Take a part of the plaintext, give as much ciphertext."""

    def tag(self) -> bytes:
        """Give the whole tag, at the end; CKR_DATA_LEN_RANGE if the length was not as promised."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a parameter says of one message: nonce, tag length in bytes, length if it is promised.

    Of a nonce that the key makes, `fixed_bits` are kept and `generator` (CKG_…) makes the rest.
    `tag` is what is to be judged.
    """

    nonce: bytes
    tag_length: int
    extra: bytes = b""
    length: int | None = None
    fixed_bits: int = 0
    generator: int = CKG.NO_GENERATE
    tag: bytes | None = None

    @property
    def makes_nonce(self) -> bool:
        """Whether the key makes the nonce, or a part of it."""
        return self.generator != CKG.NO_GENERATE


class Aead(Mechanism):
    """An authenticated cipher, to be completed by `read`, `read_message`, `sealer`, `opened`."""

    flags = (
        CKF.ENCRYPT
        | CKF.DECRYPT
        | CKF.WRAP
        | CKF.UNWRAP
        | CKF.MESSAGE_ENCRYPT
        | CKF.MESSAGE_DECRYPT
        | CKF.MULTI_MESSAGE
    )

    def encrypt(self, key: Material, parameter: Parameter) -> Ciphering:
        """Begin an encryption; the tag follows the ciphertext."""
        terms = self.read(parameter)
        return Encryption(self.sealer(key, terms), terms.tag_length)

    def decrypt(self, key: Material, parameter: Parameter) -> Ciphering:
        """Begin a decryption; nothing is given before the tag has been judged."""
        return Decryption(self, key, self.read(parameter))

    def seal_messages(self, key: Material) -> Sealing:
        """Begin the encryption of messages."""
        return Messages(self, key)

    def open_messages(self, key: Material) -> Opening:
        """Begin the decryption of messages."""
        return SealedMessages(self, key)

    def wrap_with_nonce(
        self, key: Material, data: bytes, parameter: Parameter
    ) -> tuple[bytes | None, bytes]:
        """Wrap a key; give the nonce if it was made here, and the key with its tag."""
        terms = self.read_wrapping(parameter)
        nonce = Nonces().make_alone(terms)
        whole = Terms(nonce, terms.tag_length, terms.extra, len(data))
        cipher = Encryption(self.sealer(key, whole), terms.tag_length)
        wrapped = cipher.update(data) + cipher.finish()
        return nonce if terms.makes_nonce else None, wrapped

    def wrap(self, key: Material, data: bytes, parameter: Parameter) -> bytes:
        """Wrap a key with a nonce that is known."""
        return self.wrap_with_nonce(key, data, parameter)[1]

    def wrap_sealed(
        self, key: Material, data: bytes, parameter: Parameter, extra: bytes
    ) -> tuple[bytes | None, bytes, bytes]:
        """Wrap a key; give nonce, tag and wrapped key apart (§5.18.6)."""
        terms = self.read_message(parameter)
        if terms.tag is None:
            raise Refusal(CKR.MECHANISM_PARAM_INVALID, "there is no room for the tag")
        nonce = Nonces().make_alone(terms)
        sealer = self.sealer(key, Terms(nonce, terms.tag_length, extra, len(data)))
        wrapped = sealer.update(data)
        tag = sealer.tag()[: terms.tag_length]
        return nonce if terms.makes_nonce else None, tag, wrapped

    def unwrap_sealed(
        self, key: Material, wrapped: bytes, parameter: Parameter, extra: bytes
    ) -> bytes:
        """Unwrap a key whose tag stands in the parameter (§5.18.7)."""
        terms = self.read_message(parameter)
        if terms.tag is None:
            raise Refusal(CKR.MECHANISM_PARAM_INVALID, "there is no tag")
        whole = Terms(terms.nonce, terms.tag_length, extra, len(wrapped))
        try:
            return self.opened(key, whole, wrapped, terms.tag)
        except Refusal as refusal:
            raise Refusal(CKR.WRAPPED_KEY_INVALID, refusal.why) from None

    def unwrap(self, key: Material, wrapped: bytes, parameter: Parameter) -> bytes:
        """Unwrap a key that has its tag behind it."""
        terms = self.read_wrapping(parameter)
        cut = len(wrapped) - terms.tag_length
        if cut < 0:
            raise Refusal(CKR.WRAPPED_KEY_LEN_RANGE, "shorter than its tag")
        whole = Terms(terms.nonce, terms.tag_length, terms.extra, cut)
        try:
            return self.opened(key, whole, wrapped[:cut], wrapped[cut:])
        except Refusal as refusal:
            raise Refusal(CKR.WRAPPED_KEY_INVALID, refusal.why) from None

    def read(self, parameter: Parameter) -> Terms:
        """Read the parameter of an encryption or a decryption."""
        raise self._refusal(parameter)

    def read_message(self, parameter: Parameter) -> Terms:
        """Read the parameter of one message."""
        raise self._refusal(parameter)

    def read_wrapping(self, parameter: Parameter) -> Terms:
        """Read the parameter of a wrapping, whose nonce may be made here."""
        return self.read(parameter)

    def sealer(self, key: Material, terms: Terms) -> Sealer:
        """Begin to seal one message."""
        raise self._refusal(key, terms)

    def opened(self, key: Material, terms: Terms, sealed: bytes, tag: bytes) -> bytes:
        """Open one message; CKR_AEAD_DECRYPT_FAILED if the tag is another's."""
        raise self._refusal(key, terms, sealed, tag)


class Encryption:
    """An encryption under way; the tag follows the ciphertext."""

    exact = True

    def __init__(self, sealer: Sealer, tag_length: int) -> None:
        self._sealer = sealer
        self._tag_length = tag_length
        self.update = sealer.update

    def room(self, length: int) -> int:
        """Give the same length: as much as comes in."""
        return length

    def last(self, length: int = 0) -> int:
        """Add the tag."""
        return length + self._tag_length

    def finish(self) -> bytes:
        """Give the tag."""
        return self._sealer.tag()[: self._tag_length]


class Decryption:
    """A decryption under way; nothing is given before the tag has been judged."""

    exact = True

    def __init__(self, mechanism: Aead, key: Material, terms: Terms) -> None:
        self._mechanism = mechanism
        self._key = key
        self._terms = terms
        self._message = Gathered()
        self._length = 0

    def room(self, length: int) -> int:
        """Give 0: nothing comes before the end."""
        return 0 * length

    def update(self, data: bytes) -> bytes:
        """Take a part of ciphertext and tag."""
        self._message.update(data)
        self._length += len(data)
        return b""

    def last(self, length: int = 0) -> int:
        """Count all but the tag."""
        return max(0, self._length + length - self._terms.tag_length)

    def finish(self) -> bytes:
        """Give the plaintext; CKR_AEAD_DECRYPT_FAILED if the tag is another's."""
        data = self._message.finish()
        cut = len(data) - self._terms.tag_length
        if cut < 0:
            raise Refusal(CKR.ENCRYPTED_DATA_LEN_RANGE, "shorter than its tag")
        return self._mechanism.opened(self._key, self._terms, data[:cut], data[cut:])


class Nonces:
    """The nonces of one process: those that are made here never come twice (§6.13.2)."""

    def __init__(self) -> None:
        self._made = 0
        self._start: int | None = None

    def make(self, terms: Terms) -> bytes:
        """Give the nonce of the next message; CKR_MECHANISM_PARAM_INVALID if none is left."""
        if terms.generator == CKG.NO_GENERATE:
            return terms.nonce
        bits = 8 * len(terms.nonce) - terms.fixed_bits
        if bits <= 0:
            raise Refusal(CKR.MECHANISM_PARAM_INVALID, "no bit of the nonce is free")
        free = (1 << bits) - 1
        if self._made > free:
            raise Refusal(CKR.MECHANISM_PARAM_INVALID, "no nonce is left")
        given = int.from_bytes(terms.nonce, "big")
        match terms.generator:
            case CKG.GENERATE_COUNTER:
                made = self._made
            case CKG.GENERATE_COUNTER_XOR:
                made = given & free ^ self._made
            case CKG.GENERATE | CKG.GENERATE_RANDOM:
                if self._start is None:
                    self._start = secrets.randbits(8 * len(terms.nonce))
                made = self._start + self._made & free
            case _:
                raise Refusal(CKR.MECHANISM_PARAM_INVALID, f"no generator {terms.generator:#x}")
        self._made += 1
        return (given & ~free | made).to_bytes(len(terms.nonce), "big")

    def make_alone(self, terms: Terms) -> bytes:
        """Give the nonce of a single message, for which no counter can be kept."""
        if terms.generator in (CKG.GENERATE_COUNTER, CKG.GENERATE_COUNTER_XOR):
            raise Refusal(CKR.MECHANISM_PARAM_INVALID, "a counter would give the same nonce again")
        return self.make(terms)


class Messages:
    """Messages sealed one after another under one key."""

    def __init__(self, mechanism: Aead, key: Material) -> None:
        self._mechanism = mechanism
        self._key = key
        self._nonces = Nonces()

    def begin(self, parameter: Parameter, extra: bytes, length: int | None) -> "SealedMessage":
        """Begin a message, of `length` bytes if that is known."""
        terms = self._mechanism.read_message(parameter)
        if length is not None and terms.length not in (None, length):
            raise Refusal(CKR.DATA_LEN_RANGE, "the parameter promises another length")
        nonce = self._nonces.make(terms)
        whole = Terms(nonce, terms.tag_length, extra, terms.length)
        made = nonce if terms.makes_nonce else None
        return SealedMessage(self._mechanism.sealer(self._key, whole), made, terms.tag_length)

    def tag_length(self, parameter: Parameter) -> int:
        """Give the bytes of the tag that a parameter has room for."""
        terms = self._mechanism.read_message(parameter)
        if terms.tag is None:
            raise Refusal(CKR.MECHANISM_PARAM_INVALID, "there is no room for the tag")
        return terms.tag_length


class SealedMessage:
    """One message that is being sealed; its tag is handed out apart."""

    def __init__(self, sealer: Sealer, nonce: bytes | None, tag_length: int) -> None:
        self._sealer = sealer
        self.nonce = nonce
        self.tag_length = tag_length
        self.update = sealer.update

    def tag(self) -> bytes:
        """Give the tag."""
        return self._sealer.tag()[: self.tag_length]


class SealedMessages:
    """Messages opened one after another under one key."""

    def __init__(self, mechanism: Aead, key: Material) -> None:
        self._mechanism = mechanism
        self._key = key

    def open(self, parameter: Parameter, extra: bytes, sealed: bytes) -> bytes:
        """Open a message whose tag stands in the parameter (CKR_AEAD_DECRYPT_FAILED)."""
        terms = self._mechanism.read_message(parameter)
        if terms.tag is None:
            raise Refusal(CKR.MECHANISM_PARAM_INVALID, "there is no tag")
        whole = Terms(terms.nonce, terms.tag_length, extra, terms.length)
        return self._mechanism.opened(self._key, whole, sealed, terms.tag[: terms.tag_length])
