"""What a mechanism is: a declaration, and operations that all refuse until one is written."""

from enum import Enum
from typing import ClassVar, Protocol

from ukey_emulator.chip.keys import Material
from ukey_emulator.chip.refusal import Refusal
from ukey_emulator.terms import CKF, CKM, CKO, CKR

# A mechanism's parameter: absent, the bytes of a flat structure, or the fields of one that
# pointed to more.
Parameter = bytes | tuple[object, ...] | None


_OF_WRAPPED = {
    CKR.ENCRYPTED_DATA_INVALID: CKR.WRAPPED_KEY_INVALID,
    CKR.AEAD_DECRYPT_FAILED: CKR.WRAPPED_KEY_INVALID,
    CKR.ENCRYPTED_DATA_LEN_RANGE: CKR.WRAPPED_KEY_LEN_RANGE,
}


class Digester(Protocol):
    """A digest under way; `length` is its size in bytes."""

    length: int

    def update(self, data: bytes) -> None:
        """Take a part of the message."""

    def finish(self) -> bytes:
        """Give the digest."""

    def copy(self) -> "Digester":
        """Give a digest that goes on from here by itself."""


class Signer(Protocol):
    """A signature under way; `length` is its size in bytes."""

    length: int

    def update(self, data: bytes) -> None:
        """Take a part of the message."""

    def finish(self) -> bytes:
        """Give the signature; CKR_DATA_LEN_RANGE if the message has a length that cannot be."""


class Verifier(Protocol):
    """A verification under way."""

    def update(self, data: bytes) -> None:
        """Take a part of the message."""

    def finish(self, signature: bytes) -> None:
        """Judge the signature: CKR_SIGNATURE_INVALID or CKR_SIGNATURE_LEN_RANGE if it fails."""


class Recovery(Protocol):
    """A signature that holds its message; `length` is the most bytes that this can have."""

    length: int

    def recover(self, signature: bytes) -> bytes:
        """Give the message: CKR_SIGNATURE_INVALID or CKR_SIGNATURE_LEN_RANGE if there is none."""


class Ciphering(Protocol):
    """An encryption or a decryption under way.

    `exact` says that what `last` gives is no bound but the length itself. Where it is false,
    `finish` can be called again.
    """

    exact: bool

    def room(self, length: int) -> int:
        """Give how many bytes `update` gives for `length` more."""

    def update(self, data: bytes) -> bytes:
        """Take a part of the input, give the part of the output that is ready."""

    def last(self, length: int = 0) -> int:
        """Give the most bytes that the whole rest can be, after `length` more of input."""

    def finish(self) -> bytes:
        """Give the rest of the output."""


class Sealed(Protocol):
    """One message that is being encrypted.

    `nonce` is what the key made for it, None if the program gave it; `tag_length` is in bytes.
    """

    nonce: bytes | None
    tag_length: int

    def update(self, data: bytes) -> bytes:
        """Take a part of the plaintext, give as much ciphertext."""

    def tag(self) -> bytes:
        """Give the tag, at the end."""


class Sealing(Protocol):
    """The encryption of messages, one after another under one key."""

    def begin(self, parameter: Parameter, extra: bytes, length: int | None) -> Sealed:
        """Begin a message with its associated data, of `length` bytes if that is known."""

    def tag_length(self, parameter: Parameter) -> int:
        """Give the bytes of the tag that a parameter has room for.

        CKR_MECHANISM_PARAM_INVALID if it has none.
        """


class Opening(Protocol):
    """The decryption of messages, one after another under one key."""

    def open(self, parameter: Parameter, extra: bytes, sealed: bytes) -> bytes:
        """Open a message whose tag stands in its parameter (CKR_AEAD_DECRYPT_FAILED)."""


class Heir(Enum):
    """What a derived key takes over from its base in secrecy (PKCS#11 3.2 §6.3.20, §6.43)."""

    FREE = "the template says"
    LIKE = "as the base where the template is silent"
    BOUND = "never less secret than the base"
    STRICT = "refused where the template makes it less secret than the base"


class Mechanism:
    """One mechanism: its declaration, and the operations that it carries out.

    Each operation refuses with CKR_MECHANISM_INVALID unless a subclass defines it, so that
    what is supported is what is written. `flags` are the CKF bits of C_GetMechanismInfo,
    `sizes` the smallest and largest key in the mechanism's own unit (PKCS#11 3.2 §3.6).
    `key_types` are the CKK of keys that fit; `limited` says that a profile has set the sizes.

    Keys to be wrapped are filled up with zeros to a multiple of `fill` bytes; where `prefixed` is
    true, zeros stand before a key that was unwrapped. A derivation or C_GenerateKey makes an object
    of the class `makes`, which inherits secrecy as `heir` says.
    """

    flags: int = 0
    key_types: tuple[int, ...] = ()
    fill: int = 1
    limited: bool = False
    prefixed: ClassVar[bool] = False
    makes: ClassVar[int] = CKO.SECRET_KEY
    heir: ClassVar[Heir] = Heir.FREE

    def __init__(self, kind: CKM, sizes: tuple[int, int] = (0, 0)) -> None:
        self.kind = kind
        self.sizes = sizes
        # Whatever signs one message signs many with the same key (§5.14, §5.16).
        if self.flags & CKF.SIGN:
            self.flags |= CKF.MESSAGE_SIGN | CKF.MULTI_MESSAGE
        if self.flags & CKF.VERIFY:
            self.flags |= CKF.MESSAGE_VERIFY | CKF.MULTI_MESSAGE

    def digest(self, parameter: Parameter) -> Digester:
        """Begin a digest."""
        raise self._refusal(parameter)

    def sign(self, key: Material, parameter: Parameter) -> Signer:
        """Begin a signature."""
        raise self._refusal(key, parameter)

    def verify(self, key: Material, parameter: Parameter) -> Verifier:
        """Begin a verification."""
        raise self._refusal(key, parameter)

    def sign_recover(self, key: Material, parameter: Parameter) -> Signer:
        """Begin a signature that holds its message."""
        raise self._refusal(key, parameter)

    def recover(self, key: Material, parameter: Parameter) -> Recovery:
        """Begin taking the message out of a signature."""
        raise self._refusal(key, parameter)

    def encrypt(self, key: Material, parameter: Parameter) -> Ciphering:
        """Begin an encryption."""
        raise self._refusal(key, parameter)

    def decrypt(self, key: Material, parameter: Parameter) -> Ciphering:
        """Begin a decryption."""
        raise self._refusal(key, parameter)

    def wrap(self, key: Material, data: bytes, parameter: Parameter) -> bytes:
        """Wrap a key, given as bytes; where nothing else is defined, by encrypting it."""
        context = self.encrypt(key, parameter)
        return context.update(data + bytes(-len(data) % self.fill)) + context.finish()

    def wrap_with_nonce(
        self, key: Material, data: bytes, parameter: Parameter
    ) -> tuple[bytes | None, bytes]:
        """Wrap a key; give the nonce if the key may have made one, and the wrapped key."""
        return None, self.wrap(key, data, parameter)

    def wrap_sealed(
        self, key: Material, data: bytes, parameter: Parameter, extra: bytes
    ) -> tuple[bytes | None, bytes | None, bytes]:
        """Wrap a key with associated data; give nonce, tag and wrapped key."""
        raise self._refusal(key, data, parameter, extra)

    def unwrap(self, key: Material, wrapped: bytes, parameter: Parameter) -> bytes:
        """Unwrap a key: give its bytes; where nothing else is defined, by decrypting them.

        CKR_WRAPPED_KEY_INVALID or CKR_WRAPPED_KEY_LEN_RANGE for what is no wrapped key.
        """
        context = self.decrypt(key, parameter)
        try:
            return context.update(wrapped) + context.finish()
        except Refusal as refusal:
            raise Refusal(_OF_WRAPPED.get(refusal.code, refusal.code), refusal.why) from None

    def unwrap_sealed(
        self, key: Material, wrapped: bytes, parameter: Parameter, extra: bytes
    ) -> bytes:
        """Unwrap a key with associated data."""
        raise self._refusal(key, wrapped, parameter, extra)

    def seal_messages(self, key: Material) -> Sealing:
        """Begin the encryption of messages."""
        raise self._refusal(key)

    def open_messages(self, key: Material) -> Opening:
        """Begin the decryption of messages."""
        raise self._refusal(key)

    def handles(self, parameter: Parameter) -> tuple[int, ...]:
        """Give the handles of further keys that a derivation's parameter names."""
        del parameter
        return ()

    def derive(self, base: Material, parameter: Parameter, length: int | None) -> bytes:
        """Derive `length` bytes, or as many as the mechanism gives."""
        raise self._refusal(base, parameter, length)

    def derive_with(
        self,
        base: Material,
        others: tuple[Material, ...],
        parameter: Parameter,
        length: int | None,
    ) -> bytes:
        """Derive from the base and the keys that `handles` named, which are none here."""
        del others
        return self.derive(base, parameter, length)

    def encapsulate(
        self, key: Material, parameter: Parameter, length: int | None
    ) -> tuple[bytes, bytes]:
        """Make a secret of `length` bytes and the ciphertext that brings it to the key's owner."""
        raise self._refusal(key, parameter, length)

    def ciphertext_length(self, key: Material) -> int:
        """Give the length of the ciphertext of an encapsulation, in bytes."""
        raise self._refusal(key)

    def decapsulate(
        self, key: Material, parameter: Parameter, ciphertext: bytes, length: int | None
    ) -> bytes:
        """Take the secret of `length` bytes out of a ciphertext."""
        raise self._refusal(key, parameter, ciphertext, length)

    def generate(self, wanted: dict[int, bytes], parameter: Parameter) -> dict[int, bytes]:
        """Make a secret key or domain parameters: give the attributes of their material."""
        raise self._refusal(wanted, parameter)

    def generate_pair(
        self, wanted: dict[int, bytes], parameter: Parameter
    ) -> tuple[dict[int, bytes], dict[int, bytes], Material]:
        """Make a key pair from the public template.

        Gives the attributes of the public material, those of the private material, and the
        loaded private key.
        """
        raise self._refusal(wanted, parameter)

    def _refusal(self, *_: object) -> Refusal:
        return Refusal(CKR.MECHANISM_INVALID, f"CKM_{self.kind.name} does not do this")


def no_parameter(parameter: Parameter) -> None:
    """Refuse a parameter where the mechanism has none (CKR_MECHANISM_PARAM_INVALID)."""
    if parameter:
        raise Refusal(CKR.MECHANISM_PARAM_INVALID, "this mechanism has no parameter")


def flat_parameter(parameter: Parameter, length: int) -> bytes:
    """Take a flat parameter of exactly `length` bytes, else CKR_MECHANISM_PARAM_INVALID."""
    if not isinstance(parameter, bytes) or len(parameter) != length:
        raise Refusal(CKR.MECHANISM_PARAM_INVALID, f"the parameter has {length} bytes")
    return parameter
