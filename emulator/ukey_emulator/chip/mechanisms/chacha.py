"""ChaCha20 and Poly1305, apart and together (PKCS#11 3.2 §6.54 to §6.57, RFC 8439)."""

import struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext, algorithms
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.poly1305 import Poly1305 as Poly1305Code

from ukey_emulator.chip.keys import Material
from ukey_emulator.chip.refusal import Refusal
from ukey_emulator.terms import CKF, CKK, CKM, CKR

from .aead import Aead, Sealer, Terms
from .base import Ciphering, Mechanism, Parameter, Signer, no_parameter
from .blockciphers import KeyGeneration
from .blocks import Stream
from .macs import Cutting, MacMechanism

_BITS = (256, 256)
_NONCE = 12
_TAG = 16
_BLOCK = 64
# The bits of a block counter and of the nonce that goes with it.
_SHAPES = {(32, 96), (64, 64)}


def _stream(key: Material, counter_and_nonce: bytes) -> CipherContext:
    if not isinstance(key, bytes):
        raise Refusal(CKR.KEY_TYPE_INCONSISTENT, "a secret key is needed")
    return Cipher(algorithms.ChaCha20(key, counter_and_nonce), None).encryptor()


class ChaCha20(Mechanism):
    """The stream cipher; the parameter is CK_CHACHA20_PARAMS, its counter little-endian."""

    flags = CKF.ENCRYPT | CKF.DECRYPT
    key_types = (CKK.CHACHA20,)

    def encrypt(self, key: Material, parameter: Parameter) -> Ciphering:
        """Begin an encryption."""
        match parameter:
            case (bytes(counter), int(counter_bits), bytes(nonce), int(nonce_bits)):
                pass
            case _:
                raise Refusal(CKR.MECHANISM_PARAM_INVALID, "CK_CHACHA20_PARAMS expected")
        if (counter_bits, nonce_bits) not in _SHAPES:
            raise Refusal(CKR.MECHANISM_PARAM_INVALID, "no such counter and nonce")
        return Stream(_stream(key, counter + nonce))

    def decrypt(self, key: Material, parameter: Parameter) -> Ciphering:
        """Begin a decryption, which is the same."""
        return self.encrypt(key, parameter)


class Poly1305(MacMechanism):
    """The code, whose key is for one message alone (§6.56)."""

    key_types = (CKK.POLY1305,)

    def sign(self, key: Material, parameter: Parameter) -> Signer:
        """Begin a code."""
        no_parameter(parameter)
        if not isinstance(key, bytes):
            raise Refusal(CKR.KEY_TYPE_INCONSISTENT, "a secret key is needed")
        return Cutting(Poly1305Code(key), _TAG)


class BothSealer:
    """One message under ChaCha20-Poly1305 (RFC 8439 §2.8)."""

    def __init__(self, key: Material, terms: Terms) -> None:
        self._stream = _stream(key, bytes(4) + terms.nonce)
        self._code = Poly1305Code(self._stream.update(bytes(_BLOCK))[:32])
        self._code.update(terms.extra + bytes(-len(terms.extra) % _TAG))
        self._extra_length = len(terms.extra)
        self._length = 0

    def update(self, data: bytes) -> bytes:
        """Take a part of the plaintext, give as much ciphertext."""
        sealed = self._stream.update(data)
        self._code.update(sealed)
        self._length += len(data)
        return sealed

    def tag(self) -> bytes:
        """Give the whole tag."""
        lengths = struct.pack("<QQ", self._extra_length, self._length)
        self._code.update(bytes(-self._length % _TAG) + lengths)
        return self._code.finalize()


class Both(Aead):
    """Both together; the parameter is CK_SALSA20_CHACHA20_POLY1305_PARAMS, or a message's."""

    flags = (
        CKF.ENCRYPT | CKF.DECRYPT | CKF.MESSAGE_ENCRYPT | CKF.MESSAGE_DECRYPT | CKF.MULTI_MESSAGE
    )
    key_types = (CKK.CHACHA20,)

    def read(self, parameter: Parameter) -> Terms:
        """Read CK_SALSA20_CHACHA20_POLY1305_PARAMS."""
        match parameter:
            case (bytes(nonce), bytes() | None as extra) if len(nonce) == _NONCE:
                return Terms(nonce, _TAG, extra or b"")
            case _:
                raise Refusal(CKR.MECHANISM_PARAM_INVALID, f"a nonce of {_NONCE} bytes expected")

    def read_message(self, parameter: Parameter) -> Terms:
        """Read CK_SALSA20_CHACHA20_POLY1305_MSG_PARAMS."""
        match parameter:
            case (bytes(nonce), bytes() | None as tag) if len(nonce) == _NONCE:
                return Terms(nonce, _TAG, tag=tag)
            case _:
                raise Refusal(CKR.MECHANISM_PARAM_INVALID, f"a nonce of {_NONCE} bytes expected")

    def sealer(self, key: Material, terms: Terms) -> Sealer:
        """Begin to seal one message."""
        return BothSealer(key, terms)

    def opened(self, key: Material, terms: Terms, sealed: bytes, tag: bytes) -> bytes:
        """Open one message."""
        if not isinstance(key, bytes):
            raise Refusal(CKR.KEY_TYPE_INCONSISTENT, "a secret key is needed")
        try:
            return ChaCha20Poly1305(key).decrypt(terms.nonce, sealed + tag, terms.extra)
        except InvalidTag:
            raise Refusal(CKR.AEAD_DECRYPT_FAILED) from None


MECHANISMS = (
    KeyGeneration(CKM.CHACHA20_KEY_GEN, CKK.CHACHA20, _BITS),
    ChaCha20(CKM.CHACHA20, _BITS),
    KeyGeneration(CKM.POLY1305_KEY_GEN, CKK.POLY1305, _BITS),
    Poly1305(CKM.POLY1305, _BITS),
    Both(CKM.CHACHA20_POLY1305, _BITS),
)
