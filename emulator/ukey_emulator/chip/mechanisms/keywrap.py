"""AES key wrapping (PKCS#11 3.2 §6.11.8, RFC 3394, RFC 5649)."""

from typing import ClassVar

from cryptography.hazmat.primitives import keywrap as library

from ukey_emulator.chip.keys import Material, secret
from ukey_emulator.chip.refusal import Refusal
from ukey_emulator.terms import CKF, CKK, CKM, CKR

from .base import Mechanism, Parameter, no_parameter

_HALF_BLOCK = 8
_SHORTEST = 16
_SIZES = (min(secret.AES_SIZES), max(secret.AES_SIZES))


class KeyWrap(Mechanism):
    """Wrapping of whole half blocks, with the default initial value (RFC 3394)."""

    flags = CKF.WRAP | CKF.UNWRAP
    key_types: ClassVar[tuple[int, ...]] = (CKK.AES,)

    def wrap(self, key: Material, data: bytes, parameter: Parameter) -> bytes:
        """Wrap; CKR_KEY_SIZE_RANGE for a key of another length."""
        no_parameter(parameter)
        if len(data) % _HALF_BLOCK or len(data) < _SHORTEST:
            raise Refusal(CKR.KEY_SIZE_RANGE, "16 bytes or more, in eights")
        return library.aes_key_wrap(_aes(key), data)

    def unwrap(self, key: Material, wrapped: bytes, parameter: Parameter) -> bytes:
        """Unwrap."""
        no_parameter(parameter)
        if len(wrapped) % _HALF_BLOCK or len(wrapped) < _SHORTEST + _HALF_BLOCK:
            raise Refusal(CKR.WRAPPED_KEY_LEN_RANGE, "24 bytes or more, in eights")
        try:
            return library.aes_key_unwrap(_aes(key), wrapped)
        except library.InvalidUnwrap:
            raise Refusal(CKR.WRAPPED_KEY_INVALID) from None


class KeyWrapPadded(KeyWrap):
    """Wrapping of any length (RFC 5649)."""

    def wrap(self, key: Material, data: bytes, parameter: Parameter) -> bytes:
        """Wrap."""
        no_parameter(parameter)
        return library.aes_key_wrap_with_padding(_aes(key), data)

    def unwrap(self, key: Material, wrapped: bytes, parameter: Parameter) -> bytes:
        """Unwrap."""
        no_parameter(parameter)
        if len(wrapped) % _HALF_BLOCK or len(wrapped) < _SHORTEST:
            raise Refusal(CKR.WRAPPED_KEY_LEN_RANGE, "16 bytes or more, in eights")
        try:
            return library.aes_key_unwrap_with_padding(_aes(key), wrapped)
        except library.InvalidUnwrap:
            raise Refusal(CKR.WRAPPED_KEY_INVALID) from None


def _aes(key: Material) -> bytes:
    if not isinstance(key, bytes):
        raise Refusal(CKR.KEY_TYPE_INCONSISTENT, "an AES key is needed")
    return key


MECHANISMS = (
    KeyWrap(CKM.AES_KEY_WRAP, _SIZES),
    KeyWrapPadded(CKM.AES_KEY_WRAP_KWP, _SIZES),
)
