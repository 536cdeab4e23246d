"""AES-GCM, AES-CCM and AES-GMAC (PKCS#11 3.2 §6.13)."""

import hmac

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import modes
from cryptography.hazmat.primitives.ciphers.aead import AESCCM

from ukey_emulator.chip.keys import Material
from ukey_emulator.chip.refusal import Refusal
from ukey_emulator.terms import CKF, CKK, CKM, CKR

from .aead import Aead, Sealer, Terms
from .aes import AES
from .base import Parameter, Signer, Verifier
from .blockciphers import BlockMechanism
from .gcm import AnyNonce
from .macs import Comparing

_BLOCK = 16
_LIBRARY_NONCES = range(8, 129)
_GCM_TAGS = (32, 64, 96, 104, 112, 120, 128)
_CCM_NONCES = range(7, 14)
_CCM_TAGS = (4, 6, 8, 10, 12, 14, 16)
_SHORT_EXTRA = 0xFF00


class GcmSealer:
    """One message under GCM."""

    def __init__(self, key: Material, nonce: bytes) -> None:
        self._context = AES.cipher(key, modes.GCM(nonce)).encryptor()
        self.add = self._context.authenticate_additional_data
        self.update = self._context.update

    def tag(self) -> bytes:
        """Give the whole tag."""
        self._context.finalize()
        return self._context.tag


def _gcm_sealer(key: Material, nonce: bytes) -> GcmSealer | AnyNonce:
    if len(nonce) in _LIBRARY_NONCES:
        return GcmSealer(key, nonce)
    return AnyNonce(key, nonce, sealing=True)


class Gcm(Aead):
    """GCM; the parameter is CK_GCM_PARAMS, CK_GCM_MESSAGE_PARAMS or CK_GCM_WRAP_PARAMS."""

    key_types = (CKK.AES,)

    def __init__(self, kind: CKM) -> None:
        super().__init__(kind, AES.sizes)

    def read(self, parameter: Parameter) -> Terms:
        """Read CK_GCM_PARAMS, with or without the field that older programs leave out."""
        match parameter:
            case (bytes(nonce), int(), bytes() | None as extra, int(tag_bits)):
                pass
            case (bytes(nonce), bytes() | None as extra, int(tag_bits)):
                pass
            case _:
                raise Refusal(CKR.MECHANISM_PARAM_INVALID, "CK_GCM_PARAMS expected")
        return _checked(Terms(nonce, tag_bits // 8, extra or b""), tag_bits)

    def read_wrapping(self, parameter: Parameter) -> Terms:
        """Read CK_GCM_WRAP_PARAMS, or CK_GCM_PARAMS."""
        match parameter:
            case (bytes(nonce), int(fixed), int(how), bytes() | None as extra, int(tag_bits)):
                terms = Terms(nonce, tag_bits // 8, extra or b"", fixed_bits=fixed, generator=how)
                return _checked(terms, tag_bits)
            case _:
                return self.read(parameter)

    def read_message(self, parameter: Parameter) -> Terms:
        """Read CK_GCM_MESSAGE_PARAMS."""
        match parameter:
            case (bytes(nonce), int(fixed), int(how), bytes() | None as tag, int(tag_bits)):
                terms = Terms(nonce, tag_bits // 8, fixed_bits=fixed, generator=how, tag=tag)
                return _checked(terms, tag_bits)
            case _:
                raise Refusal(CKR.MECHANISM_PARAM_INVALID, "CK_GCM_MESSAGE_PARAMS expected")

    def sealer(self, key: Material, terms: Terms) -> Sealer:
        """Begin to seal one message."""
        sealer = _gcm_sealer(key, terms.nonce)
        sealer.add(terms.extra)
        return sealer

    def opened(self, key: Material, terms: Terms, sealed: bytes, tag: bytes) -> bytes:
        """Open one message."""
        if len(terms.nonce) not in _LIBRARY_NONCES:
            opener = AnyNonce(key, terms.nonce, sealing=False)
            opener.add(terms.extra)
            clear = opener.update(sealed)
            if not hmac.compare_digest(opener.tag()[: terms.tag_length], tag):
                raise Refusal(CKR.AEAD_DECRYPT_FAILED)
            return clear
        mode = modes.GCM(terms.nonce, min_tag_length=terms.tag_length)
        context = AES.cipher(key, mode).decryptor()
        context.authenticate_additional_data(terms.extra)
        clear = context.update(sealed)
        try:
            return clear + context.finalize_with_tag(tag)
        except (InvalidTag, ValueError):
            raise Refusal(CKR.AEAD_DECRYPT_FAILED) from None


def _checked(terms: Terms, tag_bits: int) -> Terms:
    if not terms.nonce or tag_bits not in _GCM_TAGS:
        raise Refusal(CKR.MECHANISM_PARAM_INVALID, "no such IV or tag length")
    return terms


class CcmSealer:
    """One message under CCM, whose length is known from the start (RFC 3610 §2)."""

    def __init__(self, key: Material, terms: Terms, length: int) -> None:
        room = _BLOCK - 1 - len(terms.nonce)
        if length >> 8 * room:
            raise Refusal(CKR.DATA_LEN_RANGE, "longer than the nonce leaves room to say")
        self._left = length
        counter = bytes([room - 1]) + terms.nonce + bytes(room)
        self._stream = AES.cipher(key, modes.CTR(counter)).encryptor()
        self._mask = self._stream.update(bytes(_BLOCK))
        self._chain = AES.cipher(key, modes.CBC(bytes(_BLOCK))).encryptor()
        self._block = b""
        self._pending = 0
        flags = (0x40 if terms.extra else 0) | (terms.tag_length - 2) // 2 << 3 | room - 1
        self._absorb(bytes([flags]) + terms.nonce + length.to_bytes(room, "big"))
        if terms.extra:
            extra = _prefix(len(terms.extra)) + terms.extra
            self._absorb(extra + bytes(-len(extra) % _BLOCK))

    def update(self, data: bytes) -> bytes:
        """Take a part of the plaintext, give as much ciphertext."""
        if len(data) > self._left:
            raise Refusal(CKR.DATA_LEN_RANGE, "more data than the parameter promised")
        self._left -= len(data)
        self._absorb(data)
        return self._stream.update(data)

    def tag(self) -> bytes:
        """Give the whole tag."""
        if self._left:
            raise Refusal(CKR.DATA_LEN_RANGE, "less data than the parameter promised")
        self._absorb(bytes(-self._pending % _BLOCK))
        return bytes(one ^ other for one, other in zip(self._block, self._mask, strict=True))

    def _absorb(self, data: bytes) -> None:
        self._pending = (self._pending + len(data)) % _BLOCK
        self._block = (self._block + self._chain.update(data))[-_BLOCK:]


def _prefix(length: int) -> bytes:
    if length < _SHORT_EXTRA:
        return length.to_bytes(2, "big")
    return b"\xff\xfe" + length.to_bytes(4, "big")


class Ccm(Aead):
    """CCM; the parameter is CK_CCM_PARAMS, CK_CCM_MESSAGE_PARAMS or CK_CCM_WRAP_PARAMS."""

    key_types = (CKK.AES,)

    def __init__(self, kind: CKM) -> None:
        super().__init__(kind, AES.sizes)

    def read(self, parameter: Parameter) -> Terms:
        """Read CK_CCM_PARAMS."""
        match parameter:
            case (int(length), bytes(nonce), bytes() | None as extra, int(tag_length)):
                return _checked_ccm(Terms(nonce, tag_length, extra or b"", length))
            case _:
                raise Refusal(CKR.MECHANISM_PARAM_INVALID, "CK_CCM_PARAMS expected")

    def read_wrapping(self, parameter: Parameter) -> Terms:
        """Read CK_CCM_WRAP_PARAMS, or CK_CCM_PARAMS."""
        match parameter:
            case (int(), bytes(nonce), int(fixed), int(how), bytes() | None as extra, int(tag)):
                return _checked_ccm(
                    Terms(nonce, tag, extra or b"", fixed_bits=fixed, generator=how)
                )
            case _:
                return self.read(parameter)

    def read_message(self, parameter: Parameter) -> Terms:
        """Read CK_CCM_MESSAGE_PARAMS."""
        match parameter:
            case (
                int(length),
                bytes(nonce),
                int(fixed),
                int(how),
                bytes() | None as tag,
                int(tag_length),
            ):
                return _checked_ccm(
                    Terms(
                        nonce, tag_length, length=length, fixed_bits=fixed, generator=how, tag=tag
                    )
                )
            case _:
                raise Refusal(CKR.MECHANISM_PARAM_INVALID, "CK_CCM_MESSAGE_PARAMS expected")

    def sealer(self, key: Material, terms: Terms) -> Sealer:
        """Begin to seal one message."""
        return CcmSealer(key, terms, terms.length or 0)

    def opened(self, key: Material, terms: Terms, sealed: bytes, tag: bytes) -> bytes:
        """Open one message."""
        if not isinstance(key, bytes):
            raise Refusal(CKR.KEY_TYPE_INCONSISTENT, "an AES key is needed")
        if terms.length not in (None, len(sealed)):
            raise Refusal(CKR.ENCRYPTED_DATA_LEN_RANGE, "the parameter promised another length")
        try:
            cipher = AESCCM(key, terms.tag_length)
            return cipher.decrypt(terms.nonce, sealed + tag, terms.extra)
        except (InvalidTag, ValueError):
            raise Refusal(CKR.AEAD_DECRYPT_FAILED) from None


def _checked_ccm(terms: Terms) -> Terms:
    if len(terms.nonce) not in _CCM_NONCES or terms.tag_length not in _CCM_TAGS:
        raise Refusal(CKR.MECHANISM_PARAM_INVALID, "no such nonce or MAC length")
    return terms


class GmacSigner:
    """A GMAC under way."""

    def __init__(self, key: Material, terms: Terms) -> None:
        self._sealer = _gcm_sealer(key, terms.nonce)
        self.update = self._sealer.add
        self.length = terms.tag_length

    def finish(self) -> bytes:
        """Give the code."""
        return self._sealer.tag()[: self.length]


class Gmac(BlockMechanism):
    """GMAC: GCM of nothing, with the message as associated data (§6.13.7)."""

    flags = CKF.SIGN | CKF.VERIFY

    def sign(self, key: Material, parameter: Parameter) -> Signer:
        """Begin a code; the parameter is CK_GCM_PARAMS."""
        return GmacSigner(key, Gcm(CKM.AES_GCM).read(parameter))

    def verify(self, key: Material, parameter: Parameter) -> Verifier:
        """Begin a verification."""
        return Comparing(self.sign(key, parameter))


MECHANISMS = (
    Gcm(CKM.AES_GCM),
    Ccm(CKM.AES_CCM),
    Gmac(CKM.AES_GMAC, AES),
)
