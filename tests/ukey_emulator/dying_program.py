"""A program at the rack's socket that dies in a call, and for each function a call that works."""

import enum
import itertools
import os
import socket
import struct
from pathlib import Path
from typing import Any

from program import PIN, SO_PIN, attributes
from wire_client import Answer, request

from ukey_emulator.cryptoki.wire import FUNCTIONS, Mechanism, Out, Parameter, Query
from ukey_emulator.rack.server import SOCKET_NAME
from ukey_emulator.terms import CKA, CKF, CKK, CKM, CKO, CKR, CKU

BY_NAME = {function.name: function for function in FUNCTIONS.values()}

ROOM = Out(asked=True, capacity=4096)
RW = CKF.SERIAL_SESSION | CKF.RW_SESSION
IV = bytes(12)
GCM = Mechanism(CKM.AES_GCM, None)
SHA, CBC = Mechanism(CKM.SHA256, None), Mechanism(CKM.AES_CBC_PAD, bytes(16))
HASH_RSA, RAW_RSA = Mechanism(CKM.SHA256_RSA_PKCS, None), Mechanism(CKM.RSA_PKCS, None)
AES = Mechanism(CKM.AES_KEY_GEN, None)
WRAP = Mechanism(CKM.AES_KEY_WRAP_KWP, None)


class Instant(enum.Enum):
    """When the program dies."""

    BEFORE = "before the frame"
    HALF = "half of the frame written"
    WHOLE = "whole frame sent, answer not read"
    ANSWERED = "answer half read"


class Wire:
    """A program at the socket: an anchor and one thread."""

    _numbers = itertools.count(1)

    def __init__(self, home: Path) -> None:
        identity = next(self._numbers).to_bytes(16, "little")
        self.anchor = self._dial(home, identity, 1)
        self.thread = self._dial(home, identity, 0)

    def _dial(self, home: Path, identity: bytes, role: int) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(20)
        connection.connect(str(home / SOCKET_NAME))
        hello = identity + struct.pack("<QQ", os.getpid(), role) + b"killed"
        connection.sendall(struct.pack("<BBI", 1, 0, len(hello)) + hello)
        assert self._payload(connection) == bytes(8)
        return connection

    @staticmethod
    def _payload(connection: socket.socket) -> bytes:
        header = connection.recv(6, socket.MSG_WAITALL)
        assert len(header) == 6
        return connection.recv(struct.unpack("<BBI", header)[2], socket.MSG_WAITALL)

    @staticmethod
    def frame(name: str, arguments: tuple[Any, ...]) -> bytes:
        function = BY_NAME[name]
        payload = request(function, arguments)
        return struct.pack("<BBI", 1, function.number, len(payload)) + payload

    def call(self, name: str, *arguments: Any) -> tuple[CKR, Any]:
        self.thread.sendall(self.frame(name, arguments))
        code, results = Answer(self._payload(self.thread)).read(BY_NAME[name])
        return CKR(code), results[0] if len(results) == 1 else results

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any) -> Any:
            code, results = self.call(name, *arguments)
            assert code is CKR.OK, f"{name} gave CKR_{code.name}"
            return results

        return call

    def end(self) -> None:
        """End as a killed process does: the kernel closes all its sockets."""
        self.anchor.close()
        self.thread.close()

    def die_in(self, name: str, arguments: tuple[Any, ...], instant: Instant) -> None:
        """Begin a call and end in the middle of it."""
        frame = self.frame(name, arguments)
        part = {Instant.BEFORE: 0, Instant.HALF: len(frame) // 2}.get(instant, len(frame))
        self.thread.sendall(frame[:part])
        if instant is Instant.ANSWERED and name != "C_WaitForSlotEvent":
            self.thread.recv(3)
        self.end()


class Stage:
    """What the calls work on: a program that has logged in, with keys, and the calls."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        wire.C_GetSlotList(True, Out(asked=True, capacity=None))
        self.session = wire.C_OpenSession(0, RW, True)
        wire.C_Login(self.session, CKU.USER, PIN)
        yes = dict.fromkeys(("ENCRYPT", "DECRYPT", "SIGN", "VERIFY", "WRAP", "UNWRAP"), True)
        kind = {"CLASS": int(CKO.SECRET_KEY), "KEY_TYPE": int(CKK.AES), "TOKEN": True}
        more = {"EXTRACTABLE": True, "SENSITIVE": False, "DERIVE": True}
        self.aes_template = attributes(**kind, VALUE=bytes(range(16)), **yes, **more)
        self.aes = wire.C_CreateObject(self.session, self.aes_template, True)
        self.data = attributes(CLASS=int(CKO.DATA), TOKEN=True, PRIVATE=True, VALUE=b"kept")

    def rsa(self) -> tuple[int, int]:
        """Find the pair that the key has."""
        pair = []
        for kind in (CKO.PUBLIC_KEY, CKO.PRIVATE_KEY):
            self.wire.C_FindObjectsInit(self.session, attributes(CLASS=int(kind)))
            pair.append(self.wire.C_FindObjects(self.session, ROOM)[0])
            self.wire.C_FindObjectsFinal(self.session)
        return pair[0], pair[1]

    def begin(self, name: str, *arguments: object) -> int:
        """Begin an operation; give the session."""
        getattr(self.wire, name)(self.session, *arguments)
        return self.session

    def arguments(self, name: str) -> tuple[Any, ...]:  # noqa: C901, PLR0911, PLR0912, PLR0915 - each one
        """Bring the session to where the call does something, and give its arguments."""
        s, wire, aes = self.session, self.wire, self.aes
        public, private = self.rsa()
        message = Parameter("GCM_MESSAGE", (IV, 0, 0, bytes(16), 128))
        new = attributes(CLASS=int(CKO.SECRET_KEY), KEY_TYPE=int(CKK.AES), TOKEN=True)
        match name.removeprefix("C_"):
            case "GetSlotList":
                return True, Out(asked=True, capacity=None)
            case "GetSlotInfo" | "GetTokenInfo":
                return 0, True
            case "GetMechanismList":
                return 0, ROOM
            case "GetMechanismInfo":
                return 0, CKM.RSA_PKCS, True
            case "InitToken":
                wire.C_CloseAllSessions(0)
                return 0, SO_PIN, b"test key".ljust(32)
            case "InitPIN":
                wire.C_Logout(s)
                wire.C_Login(s, CKU.SO, SO_PIN)
                return s, PIN
            case "SetPIN":
                return s, PIN, PIN
            case "OpenSession":
                return 0, RW, True
            case "CloseAllSessions":
                return (0,)
            case "WaitForSlotEvent":
                return 0, True, False
            case "GetSessionInfo":
                return s, True
            case "GetOperationState":
                return self.begin("C_DigestInit", SHA), ROOM
            case "SetOperationState":
                self.begin("C_DigestInit", SHA)
                return s, wire.C_GetOperationState(s, ROOM), 0, 0
            case "Login" | "LoginUser" as which:
                wire.C_Logout(s)
                return (s, CKU.USER, PIN) if which == "Login" else (s, CKU.USER, PIN, None)
            case "CreateObject":
                return s, self.data, True
            case "CopyObject":
                return s, aes, attributes(TOKEN=True, LABEL="copy"), True
            case "DestroyObject":
                return s, aes
            case "GetObjectSize":
                return s, aes, True
            case "GetAttributeValue":
                return s, aes, [Query(CKA.VALUE, 100, None)]
            case "SetAttributeValue":
                return s, aes, attributes(LABEL="changed", ID=b"changed")
            case "FindObjectsInit":
                return s, []
            case "FindObjects":
                return self.begin("C_FindObjectsInit", []), ROOM
            case "FindObjectsFinal":
                return (self.begin("C_FindObjectsInit", []),)
            case "EncryptInit" | "DecryptInit" as which:
                return s, CBC, aes
            case "Encrypt" | "EncryptUpdate":
                return self.begin("C_EncryptInit", CBC, aes), bytes(64), ROOM
            case "EncryptFinal":
                return self.begin("C_EncryptInit", CBC, aes), ROOM
            case "Decrypt" | "DecryptUpdate":
                return self.begin("C_DecryptInit", CBC, aes), bytes(64), ROOM
            case "DecryptFinal":
                self.begin("C_DecryptInit", CBC, aes)
                wire.C_DecryptUpdate(s, bytes(32), ROOM)
                return s, ROOM
            case "DigestInit":
                return s, SHA
            case "Digest":
                return self.begin("C_DigestInit", SHA), b"data", ROOM
            case "DigestUpdate":
                return self.begin("C_DigestInit", SHA), b"data"
            case "DigestKey":
                return self.begin("C_DigestInit", SHA), aes
            case "DigestFinal":
                return self.begin("C_DigestInit", SHA), ROOM
            case "SignInit" | "MessageSignInit":
                return s, HASH_RSA, private
            case "Sign":
                return self.begin("C_SignInit", HASH_RSA, private), b"data", ROOM
            case "SignUpdate":
                return self.begin("C_SignInit", HASH_RSA, private), b"data"
            case "SignFinal":
                self.begin("C_SignInit", HASH_RSA, private)
                wire.C_SignUpdate(s, b"data")
                return s, ROOM
            case "SignRecoverInit":
                return s, RAW_RSA, private
            case "SignRecover":
                return self.begin("C_SignRecoverInit", RAW_RSA, private), b"data", ROOM
            case "VerifyInit" | "MessageVerifyInit":
                return s, HASH_RSA, public
            case "Verify":
                return self.begin("C_VerifyInit", HASH_RSA, public), b"data", bytes(128)
            case "VerifyUpdate":
                return self.begin("C_VerifyInit", HASH_RSA, public), b"data"
            case "VerifyFinal":
                self.begin("C_VerifyInit", HASH_RSA, public)
                wire.C_VerifyUpdate(s, b"data")
                return s, bytes(128)
            case "VerifyRecoverInit":
                return s, RAW_RSA, public
            case "VerifyRecover":
                return self.begin("C_VerifyRecoverInit", RAW_RSA, public), bytes(128), ROOM
            case "DigestEncryptUpdate" | "SignEncryptUpdate":
                self.begin("C_EncryptInit", CBC, aes)
                if "Sign" in name:
                    return self.begin("C_SignInit", HASH_RSA, private), bytes(64), ROOM
                return self.begin("C_DigestInit", SHA), bytes(64), ROOM
            case "DecryptDigestUpdate" | "DecryptVerifyUpdate":
                self.begin("C_DecryptInit", CBC, aes)
                if "Verify" in name:
                    return self.begin("C_VerifyInit", HASH_RSA, public), bytes(64), ROOM
                return self.begin("C_DigestInit", SHA), bytes(64), ROOM
            case "GenerateKey":
                return s, AES, attributes(VALUE_LEN=32, TOKEN=True), True
            case "GenerateKeyPair":
                token = attributes(MODULUS_BITS=1024, TOKEN=True, ID=b"new")
                pair = Mechanism(CKM.RSA_PKCS_KEY_PAIR_GEN, None)
                return s, pair, token, attributes(TOKEN=True, ID=b"new"), True, True
            case "WrapKey":
                return s, WRAP, aes, aes, ROOM
            case "UnwrapKey":
                wrapped = wire.C_WrapKey(s, WRAP, aes, aes, ROOM)[1]
                return s, WRAP, aes, wrapped, new, True
            case "WrapKeyAuthenticated":
                return s, Mechanism(CKM.AES_GCM, message), aes, aes, b"", ROOM
            case "UnwrapKeyAuthenticated":
                return s, Mechanism(CKM.AES_GCM, message), aes, bytes(16), new, b"", True
            case "DeriveKey":
                size = [*new, *attributes(VALUE_LEN=32)]
                return s, Mechanism(CKM.SHA256_KEY_DERIVATION, None), aes, size, True
            case "SeedRandom":
                return s, b"seed"
            case "GenerateRandom":
                return s, 16
            case "SessionCancel":
                return self.begin("C_DigestInit", SHA), CKF.DIGEST
            case "MessageEncryptInit" | "MessageDecryptInit":
                return s, GCM, aes
            case "EncryptMessage" | "DecryptMessage" as which:
                self.begin(f"C_Message{which.removesuffix('Message')}Init", GCM, aes)
                return s, message, b"", b"data", ROOM
            case "EncryptMessageBegin" | "DecryptMessageBegin" as which:
                self.begin(f"C_Message{which.removesuffix('MessageBegin')}Init", GCM, aes)
                return s, message, b""
            case "EncryptMessageNext" | "DecryptMessageNext" as which:
                way = which.removesuffix("MessageNext")
                self.begin(f"C_Message{way}Init", GCM, aes)
                getattr(wire, f"C_{way}MessageBegin")(s, message, b"")
                return s, message, b"data", ROOM, 0
            case "MessageEncryptFinal" | "MessageDecryptFinal" as which:
                return (self.begin(f"C_{which.removesuffix('Final')}Init", GCM, aes),)
            case "SignMessage":
                return self.begin("C_MessageSignInit", HASH_RSA, private), None, b"data", ROOM
            case "SignMessageBegin":
                return self.begin("C_MessageSignInit", HASH_RSA, private), None
            case "SignMessageNext":
                self.begin("C_MessageSignInit", HASH_RSA, private)
                wire.C_SignMessageBegin(s, None)
                return s, None, b"data", ROOM
            case "MessageSignFinal":
                return (self.begin("C_MessageSignInit", HASH_RSA, private),)
            case "VerifyMessage":
                self.begin("C_MessageVerifyInit", HASH_RSA, public)
                return s, None, b"data", bytes(128)
            case "VerifyMessageBegin":
                return self.begin("C_MessageVerifyInit", HASH_RSA, public), None
            case "VerifyMessageNext":
                self.begin("C_MessageVerifyInit", HASH_RSA, public)
                wire.C_VerifyMessageBegin(s, None)
                return s, None, b"data", None
            case "MessageVerifyFinal":
                return (self.begin("C_MessageVerifyInit", HASH_RSA, public),)
            case "VerifySignatureInit":
                return s, HASH_RSA, public, bytes(128)
            case "VerifySignature" | "VerifySignatureUpdate":
                return self.begin("C_VerifySignatureInit", HASH_RSA, public, bytes(128)), b"data"
            case "VerifySignatureFinal":
                self.begin("C_VerifySignatureInit", HASH_RSA, public, bytes(128))
                wire.C_VerifySignatureUpdate(s, b"data")
                return (s,)
            case "GetSessionValidationFlags":
                return s, 1, True
            case "EncapsulateKey":
                return s, RAW_RSA, public, [*new, *attributes(VALUE_LEN=16)], ROOM, True
            case "DecapsulateKey":
                size = [*new, *attributes(VALUE_LEN=16)]
                sealed, _ = wire.C_EncapsulateKey(s, RAW_RSA, public, size, ROOM, True)
                return s, RAW_RSA, private, new, sealed, True
            case "AsyncComplete":
                return s, b"C_Sign"
            case "AsyncGetID":
                return s, b"C_Sign", True
            case "AsyncJoin":
                return s, b"C_Sign", 1, 16
            case _:
                return (s,)
