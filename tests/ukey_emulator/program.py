"""A program that calls the face as the module would call it for it."""

import struct
from collections.abc import Callable
from typing import Any

from ukey_emulator.cryptoki.application import Application
from ukey_emulator.cryptoki.face import Face
from ukey_emulator.cryptoki.wire import Attribute, Mechanism, Out, Query
from ukey_emulator.terms import CKA, CKF, CKM, CKR, CKU

PIN = b"123456"
SO_PIN = b"12345678"
ROOM = Out(asked=True, capacity=4096)
P256 = bytes.fromhex("06082a8648ce3d030107")


class CallError(AssertionError):
    """A call that did not give CKR_OK."""


class Program:
    """A program that uses the face: calls give results, or raise with the return value."""

    def __init__(self, face: Face) -> None:
        self.face = face
        self.application: Application = face.attach(bytes(16), 1, "test")

    def rv(self, name: str, *arguments: object) -> CKR:
        """Give the return value of a call."""
        return CKR(self.face.call(self.application, name, arguments)[0])

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*arguments: object) -> Any:
            code, results = self.face.call(self.application, name, arguments)
            if code != CKR.OK:
                raise CallError(f"{name} gave CKR_{CKR(code).name}")
            return results[0] if len(results) == 1 else results

        return call

    def C_WrapKey(self, *arguments: object) -> Any:  # noqa: N802 - the standard's name
        """Wrap a key: give the wrapped key alone."""
        return self.__getattr__("C_WrapKey")(*arguments)[1]

    def open(self, slot: int = 0, *, writable: bool = True, user: CKU | None = None) -> int:
        """Open a session, logged in as `user` if that is given."""
        flags = CKF.SERIAL_SESSION | (CKF.RW_SESSION if writable else 0)
        session = self.C_OpenSession(slot, flags, True)
        if user is not None:
            self.C_Login(session, user, SO_PIN if user is CKU.SO else PIN)
        return int(session)

    def read(self, session: int, obj: int, attribute: int) -> bytes:
        """Read one attribute."""
        answers = self.C_GetAttributeValue(session, obj, [Query(attribute, 8192, None)])
        return bytes(answers[0][1])

    def find(self, session: int, **wanted: object) -> list[int]:
        """Find objects by attributes, named without their CKA_."""
        self.C_FindObjectsInit(session, attributes(**wanted))
        found = list(self.C_FindObjects(session, Out(asked=True, capacity=100)))
        self.C_FindObjectsFinal(session)
        return found

    def rsa_pair(self, session: int, bits: int = 2048, **private: object) -> tuple[int, int]:
        """Make an RSA pair."""
        mechanism = Mechanism(CKM.RSA_PKCS_KEY_PAIR_GEN, None)
        public = attributes(MODULUS_BITS=bits)
        pair = self.C_GenerateKeyPair(session, mechanism, public, attributes(**private), True, True)
        return int(pair[0]), int(pair[1])

    def ec_pair(self, session: int, **private: object) -> tuple[int, int]:
        """Make a P-256 pair, which is quick."""
        mechanism = Mechanism(CKM.EC_KEY_PAIR_GEN, None)
        public = attributes(EC_PARAMS=P256)
        pair = self.C_GenerateKeyPair(session, mechanism, public, attributes(**private), True, True)
        return int(pair[0]), int(pair[1])


def attributes(**wanted: object) -> list[Attribute]:
    """Make a template: numbers become CK_ULONG, truth values CK_BBOOL."""
    template = []
    for name, value in wanted.items():
        match value:
            case bool():
                data = bytes([value])
            case int():
                data = struct.pack("<Q", value)
            case str():
                data = value.encode()
            case bytes():
                data = value
            case _:
                raise TypeError(name)
        template.append(Attribute(CKA[name], data, len(data)))
    return template
