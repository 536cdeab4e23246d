"""A small document signing service, which is tested here; of ukeylab it knows nothing."""

import time
from types import TracebackType
from typing import Self

import pkcs11
from pkcs11.exceptions import (
    DeviceError,
    DeviceRemoved,
    NoSuchToken,
    PinIncorrect,
    PinLocked,
    SessionClosed,
    SessionHandleInvalid,
    TokenNotPresent,
)

GONE = (DeviceRemoved, NoSuchToken, SessionClosed, SessionHandleInvalid, TokenNotPresent)


class SigningError(Exception):
    """The document has not been signed; the message says what to do."""


class Signer:
    """Signs with the key `name` on a token; asks again when the token hiccups or is put back."""

    def __init__(self, module: str, token: str, name: str, *, attempts: int = 5) -> None:
        self._library = pkcs11.lib(module)
        self._token = token
        self._name = name
        self._attempts = attempts
        self._session: pkcs11.Session | None = None

    def sign(self, document: bytes, pin: str) -> bytes:
        """Give the signature of a document (RSA PKCS#1 v1.5 over SHA-256); SigningError."""
        for attempt in range(self._attempts):
            if attempt:
                time.sleep(0.01 * 2**attempt)
            try:
                key = self._open(pin).get_key(pkcs11.ObjectClass.PRIVATE_KEY, label=self._name)
                return key.sign(document, mechanism=pkcs11.Mechanism.SHA256_RSA_PKCS)
            except PinIncorrect as error:
                raise SigningError("the PIN is wrong: it is not tried again") from error
            except PinLocked as error:
                raise SigningError("the PIN is locked") from error
            except DeviceError as error:
                reason: Exception = error
            except GONE as error:
                reason = error
                self._session = None
        raise SigningError(f"no signature after {self._attempts} attempts") from reason

    def close(self) -> None:
        """Log out."""
        if self._session is not None:
            self._session.close()
            self._session = None

    def _open(self, pin: str) -> pkcs11.Session:
        if self._session is None:
            token = self._library.get_token(token_label=self._token)
            self._session = token.open(user_pin=pin)
        return self._session

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
