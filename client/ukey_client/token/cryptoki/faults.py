"""What a PKCS#11 module answers, in the client's terms: one translation for the package."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import pkcs11

from ukey_client.errors import KeyUnsuitable, TokenFailed, TokenFull, TokenRemoved

_GONE = (
    pkcs11.DeviceRemoved,
    pkcs11.TokenNotPresent,
    pkcs11.SessionHandleInvalid,
    pkcs11.SessionClosed,
    pkcs11.SlotIDInvalid,
)
_UNSUITABLE = (
    pkcs11.MechanismInvalid,
    pkcs11.KeyTypeInconsistent,
    pkcs11.KeySizeRange,
    pkcs11.DomainParamsInvalid,
)


_SPELLED_OTHERWISE: Final = {
    "AnotherUserAlreadyLoggedIn": "CKR_USER_ANOTHER_ALREADY_LOGGED_IN",
    "FunctionCancelled": "CKR_FUNCTION_CANCELED",
    "TokenNotRecognised": "CKR_TOKEN_NOT_RECOGNIZED",
}
"""Names that python-pkcs11 did not make of the standard's."""

_NO_RETURN_VALUE: Final = {
    "MultipleObjectsReturned": "找到多个相同的对象",
    "MultipleTokensReturned": "找到多个相同的介质",
    "NoSuchKey": "找不到密钥",
    "NoSuchToken": "找不到介质",
}
"""What python-pkcs11 finds out by itself; no module answered so."""

_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z][a-z]+")
_NUMBER: Final = re.compile(r"\b0x[0-9a-fA-F]+\b")


@contextmanager
def translated(action: str) -> Iterator[None]:
    """Turn what python-pkcs11 raises inside into a HolderError; `action` is Chinese."""
    try:
        yield
    except _GONE as error:
        raise TokenRemoved from error
    except pkcs11.DeviceMemory as error:
        raise TokenFull from error
    except _UNSUITABLE as error:
        raise KeyUnsuitable(name_of(error)) from error
    except pkcs11.PKCS11Error as error:
        raise TokenFailed(action, name_of(error)) from error
    except NotImplementedError as error:
        # python-pkcs11 speaks so of an attribute it has no form for.
        raise TokenFailed(action, "介质中有无法识别的属性") from error


def name_of(error: pkcs11.PKCS11Error) -> str:
    """Give the standard's name of a fault, CKR_…, or words where no module answered it.

    A return value without a name (CKR_VENDOR_DEFINED, PKCS#11 v3.2 §3.6) is its number.
    """
    kind = type(error).__name__
    if kind in _NO_RETURN_VALUE:
        return _NO_RETURN_VALUE[kind]
    if type(error) is pkcs11.PKCS11Error:
        number = _NUMBER.search(str(error))
        return f"CKR {number[0]}" if number else "驱动程序报告未知错误"
    return _SPELLED_OTHERWISE.get(kind) or "_".join(["CKR", *_WORD.findall(kind)]).upper()
