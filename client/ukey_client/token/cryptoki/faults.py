"""What a PKCS#11 module answers, in the client's terms: one translation for the package."""

from collections.abc import Iterator
from contextlib import contextmanager

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
        raise TokenFailed(action, str(error)) from error


def name_of(error: pkcs11.PKCS11Error) -> str:
    """Give the standard's name of a fault, with python-pkcs11's remark if it has one."""
    remark = str(error)
    name = type(error).__name__
    return f"{name}: {remark}" if remark and remark != name else name
