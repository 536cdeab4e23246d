"""Racks and programs on both sides of the module's memory, for its tests."""

import ctypes
from ctypes import byref, c_ulong
from pathlib import Path
from typing import Any

import module_host as host
from module_host import OK, ScriptedFace, attributes

from ukey_emulator.epoch import Epoch
from ukey_emulator.rack.calls import Told
from ukey_emulator.rack.home import Home
from ukey_emulator.rack.rack import Rack
from ukey_emulator.rack.server import SOCKET_NAME, ModuleServer
from ukey_emulator.terms import CKA, CKM, CKO

S, KEY = 7, 3
RSA = int(CKM.SHA256_RSA_PKCS)


class Side:
    """A scripted rack with an epoch, and what it was told."""

    def __init__(self, home: Path, told: Told | None = None) -> None:
        self.face = ScriptedFace()
        self.face.answers["C_GetAttributeValue"] = (OK, ([(5, b"label")],))
        self.face.answers["C_Sign"] = (OK, (256,))
        self.epoch = Epoch()
        self.told: list[str] = []
        self._place = Home(home)
        note = told or (lambda _app, name, *_rest: self.told.append(name))
        self.server = ModuleServer(self._place, self.face, self.epoch, note)
        self.server.start()

    def count(self, name: str) -> int:
        return sum(called == name for called, _ in self.face.calls)

    def close(self) -> None:
        self.server.stop()
        self._place.close(SOCKET_NAME)


class World:
    """A rack with a key, and programs on it."""

    def __init__(self, home: Path, folder: Path) -> None:
        self._folder = folder
        self.rack = Rack(home, lasting=False)
        self.rack.start()
        self.rack.keys.new(name="key", label="test")
        self.programs: list[host.Module] = []

    def program(self) -> tuple[host.Module, int]:
        """Start a program and log it in; gives it with its session."""
        folder = self._folder / str(len(self.programs))
        folder.mkdir()
        module = host.Module(folder)
        assert module.C_Initialize(None) == OK
        self.programs.append(module)
        session = c_ulong()
        assert module.C_OpenSession(0, 6, None, None, byref(session)) == OK
        assert module.C_Login(session.value, 1, b"123456", 6) == OK
        return module, session.value

    def close(self) -> None:
        for each in self.programs:
            each.C_Finalize(None)
        self.rack.stop()


def label(module: host.Module, session: int = S, obj: int = KEY, room: int = 20) -> tuple[int, Any]:
    buffer = ctypes.create_string_buffer(room)
    query = attributes((int(CKA.LABEL), (buffer, room)))
    rv = module.C_GetAttributeValue(session, obj, query, 1)
    return rv, buffer.raw[: query[0].length] if rv == OK else b""


def length(module: host.Module, data: bytes = b"data", session: int = S) -> tuple[int, int]:
    found = c_ulong(9)
    return module.C_Sign(session, data, len(data), None, byref(found)), found.value


def data_object(module: host.Module, session: int, *, private: bool = False) -> int:
    template = attributes(
        (int(CKA.CLASS), int(CKO.DATA).to_bytes(8, "little")),
        (int(CKA.TOKEN), b"\1"),
        (int(CKA.PRIVATE), bytes([private])),
        (int(CKA.LABEL), b"old"),
    )
    made = c_ulong()
    assert module.C_CreateObject(session, template, 4, byref(made)) == OK
    return made.value


def find(module: host.Module, session: int) -> int:
    template, found, count = attributes((int(CKA.LABEL), b"old")), (c_ulong * 2)(), c_ulong()
    assert module.C_FindObjectsInit(session, template, 1) == OK
    assert module.C_FindObjects(session, found, 2, byref(count)) == OK
    assert module.C_FindObjectsFinal(session) == OK
    assert count.value == 1
    return int(found[0])
