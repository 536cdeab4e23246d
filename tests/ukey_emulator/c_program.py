"""A program that calls the C functions of the module, with the values that `Program` takes.

The structs are laid out here anew from the text of the standard, not from parameters.def.
"""

import ctypes
import shutil
from collections.abc import Callable
from ctypes import POINTER, c_char, c_ubyte, c_ulong, c_void_p
from pathlib import Path
from typing import Any

from program import PIN, SO_PIN, CallError

import ukey_emulator
from ukey_emulator.cryptoki.wire import Attribute, Mechanism, Out, Parameter, Query
from ukey_emulator.terms import CKF, CKR, CKU


class CkAttribute(ctypes.Structure):
    _fields_ = [("type", c_ulong), ("value", c_void_p), ("length", c_ulong)]


class CkMechanism(ctypes.Structure):
    _fields_ = [("type", c_ulong), ("parameter", c_void_p), ("length", c_ulong)]


class Inside(bytes):
    """Bytes that stand in a struct themselves, not behind a pointer."""

    __slots__ = ()


# The members of each struct, in order: int is CK_ULONG, bool CK_BBOOL, bytes or an array a pointer
# to it, None NULL (PKCS#11 3.2 §6.1.8, §6.3.17, §6.13.5, §6.42.3 and so on).
STRUCTS: dict[str, Callable[..., tuple[Any, ...]]] = {
    "GCM": lambda iv, bits, aad, tag: (iv, len(iv), bits, aad, len(aad), tag),
    "CCM": lambda size, nonce, aad, mac: (size, nonce, len(nonce), aad, len(aad), mac),
    "OAEP": lambda hashed, mask, source, label: (hashed, mask, source, label, len(label)),
    "ECDH1": lambda kdf, shared, point: (kdf, len(shared), shared, len(point), point),
    "HKDF": lambda extract, expand, prf, kind, salt, key, info: (
        *(bool(extract), bool(expand), prf, kind, salt, len(salt), key, info, len(info)),
    ),
    "PBKD2": lambda source, salt, rounds, prf, data, password: (
        *(source, salt, len(salt), rounds, prf, data or None, len(data)),
        *(password, len(password)),
    ),
    "KBKDF": lambda prf, data, more: (prf, len(data), template(data), more, None),
    "FEEDBACK_KBKDF": lambda prf, data, iv, more: (
        *(prf, len(data), template(data), len(iv), iv or None, more, None),
    ),
    "GCM_MESSAGE": lambda iv, fixed, how, tag: (iv, len(iv), fixed, how, tag, 8 * len(tag)),
    "CCM_MESSAGE": lambda size, nonce, fixed, how, tag: (
        *(size, nonce, len(nonce), fixed, how, tag, len(tag)),
    ),
    "POLY1305_MESSAGE": lambda nonce, tag: (nonce, len(nonce), tag),
    "EDDSA": lambda prehashed, context: (bool(prehashed), len(context), context),
    "STRING": lambda data: (data, len(data)),
    "CBC_DATA_16": lambda iv, data: (Inside(iv), data, len(data)),
    "CBC_DATA_8": lambda iv, data: (Inside(iv), data, len(data)),
    "CHACHA20": lambda counter, width, nonce, bits: (counter, width, nonce, bits),
    "POLY1305": lambda nonce, aad: (nonce, len(nonce), aad, len(aad)),
    "CONTEXT": lambda hedge, context: (hedge, context, len(context)),
    "HASH_CONTEXT": lambda hedge, context, hashed: (hedge, context, len(context), hashed),
}


def memory(content: bytes) -> Any:
    """Make C memory with that content, and a byte at least."""
    return (c_char * max(1, len(content))).from_buffer_copy(content.ljust(1, b"\0"))


def struct(*members: Any) -> Any:
    """Make a struct; what its pointers point to lives as long as it."""
    fields, values = [], []
    for at, member in enumerate(members):
        match member:
            case Inside():
                kind, value = c_ubyte * len(member), (c_ubyte * len(member))(*member)
            case bool():
                kind, value = c_ubyte, int(member)
            case int():
                kind, value = c_ulong, int(member)
            case None:
                kind, value = c_void_p, None
            case _:
                held = memory(member) if isinstance(member, bytes) else member
                kind = POINTER(type(held))
                value = ctypes.pointer(held)
        fields.append((f"m{at}", kind))
        values.append(value)
    return type("Struct", (ctypes.Structure,), {"_fields_": fields})(*values)


def structure(layout: str, *fields: Any) -> Any:
    """Make the struct of that name."""
    return struct(*STRUCTS[layout](*fields))


def template(attributes: list[Attribute]) -> Any:
    """Make a CK_ATTRIBUTE array, or one of CK_PRF_DATA_PARAM, which has the same form."""
    array = (CkAttribute * max(1, len(attributes)))()
    array.held = []
    for place, attribute in zip(array, attributes, strict=False):
        assert isinstance(attribute.value, bytes)
        array.held.append(memory(attribute.value))
        place.type, place.length = attribute.type, attribute.length
        place.value = ctypes.addressof(array.held[-1])
    return array


def mechanism(asked: Mechanism) -> Any:
    """Make a CK_MECHANISM."""
    match asked.parameter:
        case None:
            return CkMechanism(asked.type, None, 0)
        case bytes(flat):
            held, size = memory(flat), len(flat)
        case Parameter(layout=layout, fields=fields):
            held = structure(layout, *fields)
            size = ctypes.sizeof(held)
        case _:
            raise TypeError(asked)
    made = CkMechanism(asked.type, ctypes.addressof(held), size)
    made.held = held
    return made


class Output:
    """Where a function writes: a number, bytes with a length, or attributes."""

    def __init__(self, asked: Out | list[Query] | bool) -> None:
        self._asked = asked
        self.length = c_ulong(0)
        if isinstance(asked, Out):
            assert asked.capacity is not None
            self.buffer = (c_ubyte * asked.capacity)()
            self.length.value = asked.capacity
        elif isinstance(asked, list):
            rooms = [bytes(query.capacity or 0) for query in asked]
            places = zip(asked, rooms, strict=True)
            self.array = template(
                [Attribute(query.type, room, len(room)) for query, room in places]
            )

    def arguments(self) -> tuple[Any, ...]:
        """Give the C arguments."""
        if isinstance(self._asked, Out):
            return self.buffer, ctypes.byref(self.length)
        if isinstance(self._asked, list):
            return self.array, c_ulong(len(self._asked))
        return (ctypes.byref(self.length),)

    def result(self) -> Any:
        """Give what was written."""
        if isinstance(self._asked, Out):
            return bytes(self.buffer[: self.length.value])
        if isinstance(self._asked, list):
            places = zip(self.array.held, self.array, strict=False)
            return [(place.length, held.raw[: place.length]) for held, place in places]
        return self.length.value


class CProgram:
    """A program that has loaded a copy of the module: calls give results, or raise CallError."""

    def __init__(self, folder: Path) -> None:
        self._library = ctypes.CDLL(shutil.copy(ukey_emulator.module_path(), folder))

    def rv(self, name: str, *arguments: object) -> CKR:
        """Give the return value of a call."""
        return self._called(name, arguments)[0]

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*arguments: object) -> Any:
            code, results = self._called(name, arguments)
            if code != CKR.OK:
                raise CallError(f"{name} gave CKR_{code.name}")
            return results[0] if len(results) == 1 else results

        return call

    def _called(self, name: str, arguments: tuple[object, ...]) -> tuple[CKR, tuple[Any, ...]]:
        function = getattr(self._library, name)
        function.restype = c_ulong
        given: list[Any] = []
        outputs: list[Output] = []
        held: list[Any] = []
        for argument in arguments:
            match argument:
                case Out() | True | [Query(), *_]:
                    outputs.append(Output(argument))  # type: ignore[arg-type]
                    given += outputs[-1].arguments()
                case int():
                    given.append(c_ulong(argument))
                case bytes():
                    held.append(memory(argument))
                    given += [held[-1], c_ulong(len(argument))]
                case ctypes.Structure():  # the parameter of a message
                    given += [ctypes.byref(argument), c_ulong(ctypes.sizeof(argument))]
                case Mechanism():
                    held.append(mechanism(argument))
                    given.append(ctypes.byref(held[-1]))
                case list():
                    given += [template(argument), c_ulong(len(argument))]
                case _:
                    given.append(argument)
        code = CKR(function(*given))
        return code, tuple(output.result() for output in outputs) if code == CKR.OK else ()

    def open(self, slot: int = 0, *, user: CKU | None = None) -> int:
        """Open a writable session, logged in as `user` if that is given."""
        handle = c_ulong()
        flags = c_ulong(CKF.SERIAL_SESSION | CKF.RW_SESSION)
        code = self.rv("C_OpenSession", slot, flags, None, None, ctypes.byref(handle))
        assert code == CKR.OK
        if user is not None:
            self.C_Login(handle.value, int(user), SO_PIN if user is CKU.SO else PIN)
        return handle.value

    def read(self, session: int, obj: int, attribute: int) -> bytes:
        """Read one attribute."""
        answers = self.C_GetAttributeValue(session, obj, [Query(attribute, 1 << 16, None)])
        return bytes(answers[0][1])
