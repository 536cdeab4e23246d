"""AES key wrapping (PKCS#11 3.2 §6.16, NIST SP 800-38F, RFC 3394, RFC 5649)."""

from cryptography.hazmat.primitives.ciphers import modes

from ukey_emulator.chip.keys import Material
from ukey_emulator.chip.refusal import Refusal
from ukey_emulator.terms import CKF, CKM, CKR

from .aes import AES
from .base import Ciphering, Parameter, flat_parameter
from .blockciphers import BlockMechanism
from .blocks import Once

_HALF = 8
_ROUNDS = 6
_INITIAL = bytes.fromhex("a6a6a6a6a6a6a6a6")
_INITIAL_PADDED = bytes.fromhex("a65959a6")


def wrapped(key: Material, initial: bytes, data: bytes) -> bytes:
    """Wrap at least two half blocks (RFC 3394 §2.2.1)."""
    block = AES.cipher(key, modes.ECB()).encryptor()  # noqa: S305 - the wrapping's own building
    parts = [data[at : at + _HALF] for at in range(0, len(data), _HALF)]
    count = len(parts)
    for step in range(_ROUNDS * count):
        mixed = block.update(initial + parts[step % count])
        initial = (int.from_bytes(mixed[:_HALF], "big") ^ step + 1).to_bytes(_HALF, "big")
        parts[step % count] = mixed[_HALF:]
    return initial + b"".join(parts)


def unwrapped(key: Material, data: bytes) -> tuple[bytes, bytes]:
    """Undo `wrapped`: give the initial value, which is to be judged, and the data."""
    block = AES.cipher(key, modes.ECB()).decryptor()  # noqa: S305 - the wrapping's own building
    initial = data[:_HALF]
    parts = [data[at : at + _HALF] for at in range(_HALF, len(data), _HALF)]
    count = len(parts)
    for step in reversed(range(_ROUNDS * count)):
        mixed = (int.from_bytes(initial, "big") ^ step + 1).to_bytes(_HALF, "big")
        clear = block.update(mixed + parts[step % count])
        initial, parts[step % count] = clear[:_HALF], clear[_HALF:]
    return initial, b"".join(parts)


def wrapped_padded(key: Material, initial: bytes, data: bytes) -> bytes:
    """Wrap any length from one byte on (RFC 5649 §4.1)."""
    head = initial + len(data).to_bytes(4, "big")
    data += bytes(-len(data) % _HALF)
    if len(data) == _HALF:
        block = AES.cipher(key, modes.ECB()).encryptor()  # noqa: S305 - RFC 5649 §4.1
        return block.update(head + data)
    return wrapped(key, head, data)


def unwrapped_padded(key: Material, initial: bytes, data: bytes) -> bytes | None:
    """Undo `wrapped_padded`; None if it is no such thing."""
    if len(data) == 2 * _HALF:
        block = AES.cipher(key, modes.ECB()).decryptor()  # noqa: S305 - RFC 5649 §4.2
        clear = block.update(data)
        head, clear = clear[:_HALF], clear[_HALF:]
    else:
        head, clear = unwrapped(key, data)
    length = int.from_bytes(head[4:], "big")
    padding = clear[length:]
    if head[:4] != initial or not 0 <= len(clear) - length < _HALF or any(padding):
        return None
    return clear[:length]


class KeyWrap(BlockMechanism):
    """Wrapping of whole half blocks; keys are filled up with zeros (RFC 3394).

    The parameter is the initial value, or none.
    """

    flags = CKF.ENCRYPT | CKF.DECRYPT | CKF.WRAP | CKF.UNWRAP
    fill = _HALF
    initial = _INITIAL
    least = 2 * _HALF
    least_wrapped = 3 * _HALF

    def encrypt(self, key: Material, parameter: Parameter) -> Ciphering:
        """Begin an encryption, in one part."""
        initial = self._initial(parameter)

        def work(data: bytes) -> bytes:
            if len(data) % self.fill or len(data) < self.least:
                raise Refusal(CKR.DATA_LEN_RANGE, f"{self.least} bytes or more, in whole parts")
            return self._wrap(key, initial, data)

        return Once(work, lambda length: length + 3 * _HALF)

    def decrypt(self, key: Material, parameter: Parameter) -> Ciphering:
        """Begin a decryption, in one part."""
        initial = self._initial(parameter)

        def work(data: bytes) -> bytes:
            if len(data) % _HALF or len(data) < self.least_wrapped:
                raise Refusal(CKR.ENCRYPTED_DATA_LEN_RANGE, "not as long as a wrapping is")
            clear = self._unwrap(key, initial, data)
            if clear is None:
                raise Refusal(CKR.ENCRYPTED_DATA_INVALID)
            return clear

        return Once(work, lambda length: length)

    def wrap(self, key: Material, data: bytes, parameter: Parameter) -> bytes:
        """Wrap; CKR_KEY_SIZE_RANGE for a key that is too short."""
        try:
            return super().wrap(key, data, parameter)
        except Refusal as refusal:
            if refusal.code is not CKR.DATA_LEN_RANGE:
                raise
            raise Refusal(CKR.KEY_SIZE_RANGE, refusal.why) from None

    def _initial(self, parameter: Parameter) -> bytes:
        return flat_parameter(parameter, len(self.initial)) if parameter else self.initial

    def _wrap(self, key: Material, initial: bytes, data: bytes) -> bytes:
        return wrapped(key, initial, data)

    def _unwrap(self, key: Material, initial: bytes, data: bytes) -> bytes | None:
        found, clear = unwrapped(key, data)
        return clear if found == initial else None


class KeyWrapPadded(KeyWrap):
    """Wrapping of any length (RFC 5649)."""

    fill = 1
    initial = _INITIAL_PADDED
    least = 1
    least_wrapped = 2 * _HALF

    def _wrap(self, key: Material, initial: bytes, data: bytes) -> bytes:
        return wrapped_padded(key, initial, data)

    def _unwrap(self, key: Material, initial: bytes, data: bytes) -> bytes | None:
        return unwrapped_padded(key, initial, data)


class KeyWrapPkcs7(KeyWrap):
    """Wrapping of any length, filled up as PKCS#7 does."""

    fill = 1
    least = _HALF

    def _wrap(self, key: Material, initial: bytes, data: bytes) -> bytes:
        fill = _HALF - len(data) % _HALF
        return wrapped(key, initial, data + bytes([fill]) * fill)

    def _unwrap(self, key: Material, initial: bytes, data: bytes) -> bytes | None:
        clear = super()._unwrap(key, initial, data)
        if clear is None or not 1 <= clear[-1] <= _HALF or len(set(clear[-clear[-1] :])) != 1:
            return None
        return clear[: -clear[-1]]


MECHANISMS = (
    KeyWrap(CKM.AES_KEY_WRAP, AES),
    # Deprecated: what it pads with was never said, and this is what programs mean by it.
    KeyWrapPadded(CKM.AES_KEY_WRAP_PAD, AES),
    KeyWrapPadded(CKM.AES_KEY_WRAP_KWP, AES),
    KeyWrapPkcs7(CKM.AES_KEY_WRAP_PKCS7, AES),
)
