"""The C module's life: initialising, racks that come and go, threads, forks, waiting, the end."""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from ctypes import byref, c_ulong, c_void_p
from pathlib import Path
from typing import Any

import module_host as host
import pytest
from module_host import Info, Interface, Module, ScriptedFace, Version

DONT_BLOCK = 1
OS_LOCKING_OK = 2
CANT_CREATE_THREADS = 1

CREATE = ctypes.CFUNCTYPE(c_ulong, ctypes.POINTER(c_void_p))
MUTEX = ctypes.CFUNCTYPE(c_ulong, c_void_p)


class InitializeArgs(ctypes.Structure):
    _fields_ = [
        ("create", CREATE),
        ("destroy", MUTEX),
        ("lock", MUTEX),
        ("unlock", MUTEX),
        ("flags", c_ulong),
        ("reserved", c_void_p),
    ]


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Module:
    return Module(tmp_path_factory.mktemp("module"))


@pytest.fixture
def module(loaded: Module, home: Path) -> Iterator[Module]:
    """Give the module, not initialised."""
    assert home.name == "home"
    yield loaded
    loaded.C_Finalize(None)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("UKEY_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def face(home: Path) -> Iterator[ScriptedFace]:
    face = ScriptedFace()
    face.answers["C_GetSlotList"] = (host.OK, ([1],))
    with host.running(home, face):
        yield face


def slot_count(module: Module) -> int:
    slots, count = (c_ulong * 4)(), c_ulong(4)
    assert module.C_GetSlotList(1, slots, byref(count)) == host.OK
    return count.value


def within(seconds: float, condition: Any) -> bool:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    return bool(condition())


def test_initialising(module: Module) -> None:
    info = Info()
    assert module.C_GetInfo(byref(info)) == host.NOT_INITIALIZED
    assert module.C_Finalize(None) == host.NOT_INITIALIZED
    assert module.C_GetFunctionStatus(1) == host.NOT_INITIALIZED
    assert module.C_GetSlotList(1, None, None) == host.NOT_INITIALIZED
    assert module.C_OpenSession(1, 4, None, None, None) == host.NOT_INITIALIZED
    assert module.C_Initialize(None) == host.OK
    assert module.C_Initialize(None) == host.ALREADY_INITIALIZED
    assert module.C_GetInfo(None) == host.ARGUMENTS_BAD
    assert module.C_Finalize(b"reserved") == host.ARGUMENTS_BAD
    assert module.C_GetFunctionStatus(1) == host.FUNCTION_NOT_PARALLEL
    assert module.C_CancelFunction(1) == host.FUNCTION_NOT_PARALLEL
    assert module.C_Finalize(None) == host.OK
    assert module.C_Finalize(None) == host.NOT_INITIALIZED
    assert module.C_Initialize(None) == host.OK


def test_arguments_of_initialize(module: Module) -> None:
    calls: list[str] = []
    create = CREATE(lambda _: calls.append("create") or host.OK)
    destroy, lock, unlock = (
        MUTEX(lambda _, name=name: calls.append(name) or host.OK)
        for name in ("destroy", "lock", "unlock")
    )
    some = InitializeArgs(create=create)
    assert module.C_Initialize(byref(some)) == host.ARGUMENTS_BAD
    reserved = InitializeArgs(reserved=1)
    assert module.C_Initialize(byref(reserved)) == host.ARGUMENTS_BAD
    for flags in (OS_LOCKING_OK, CANT_CREATE_THREADS, 0):
        assert module.C_Initialize(byref(InitializeArgs(flags=flags))) == host.OK
        assert module.C_Finalize(None) == host.OK
    own = InitializeArgs(create, destroy, lock, unlock, OS_LOCKING_OK, None)
    assert module.C_Initialize(byref(own)) == host.OK
    assert module.C_Finalize(None) == host.OK
    assert calls == []
    own.flags = 0
    assert module.C_Initialize(byref(own)) == host.OK
    module.C_CloseSession(1)
    assert module.C_Finalize(None) == host.OK
    assert (calls[0], calls[-1]) == ("create", "destroy")
    assert calls.count("lock") == calls.count("unlock") > 0
    assert calls.count("create") == calls.count("destroy") == 1


def test_mutexes_that_cannot_be_made(module: Module) -> None:
    host_memory = 2
    fails = CREATE(lambda _: host_memory)
    nothing = MUTEX(lambda _: host.OK)
    args = InitializeArgs(fails, nothing, nothing, nothing, 0, None)
    assert module.C_Initialize(byref(args)) == host_memory
    assert module.C_Initialize(None) == host.OK


def test_info_and_the_lists_agree_in_their_version(module: Module) -> None:
    assert module.C_Initialize(None) == host.OK
    info = Info()
    assert module.C_GetInfo(byref(info)) == host.OK
    assert bytes(info.manufacturer) == b"ukeylab".ljust(32)
    assert bytes(info.description) == b"ukeylab software USB key".ljust(32)
    assert info.flags == 0
    functions = ctypes.POINTER(Version)()
    assert module.C_GetFunctionList(byref(functions)) == host.OK
    versions = [(functions[0].major, functions[0].minor)]
    assert versions == [(info.cryptoki_version.major, info.cryptoki_version.minor)] == [(2, 40)]
    assert module.C_GetFunctionList(None) == host.ARGUMENTS_BAD
    for wanted in ((2, 40), (3, 0), (3, 2)):
        interface = ctypes.POINTER(Interface)()
        version = Version(*wanted)
        assert module.C_GetInterface(b"PKCS 11", byref(version), byref(interface), 0) == host.OK
        offered = interface[0].functions
        assert (offered[0].major, offered[0].minor) == wanted
        table = ctypes.cast(offered, ctypes.POINTER(c_void_p))
        get_info = ctypes.CFUNCTYPE(c_ulong, ctypes.POINTER(Info))(table[3])
        assert get_info(byref(info)) == host.OK
        assert (info.cryptoki_version.major, info.cryptoki_version.minor) == wanted


def test_every_entry_of_the_lists_is_a_function(module: Module) -> None:
    for wanted, size in (((2, 40), 68), ((3, 0), 92), ((3, 2), 104)):
        interface, version = ctypes.POINTER(Interface)(), Version(*wanted)
        assert module.C_GetInterface(None, byref(version), byref(interface), 0) == host.OK
        table = ctypes.cast(interface[0].functions, ctypes.POINTER(c_void_p))
        entries = [table[n] for n in range(1, size + 1)]
        assert all(entries)
        assert len(set(entries)) == size


def test_interfaces(module: Module) -> None:
    count = c_ulong()
    assert module.C_GetInterfaceList(None, byref(count)) == host.OK
    assert count.value == 3
    interfaces = (Interface * 3)()
    count.value = 2
    assert module.C_GetInterfaceList(interfaces, byref(count)) == host.BUFFER_TOO_SMALL
    assert count.value == 3
    assert module.C_GetInterfaceList(interfaces, byref(count)) == host.OK
    assert [interface.name for interface in interfaces] == [b"PKCS 11"] * 3
    assert module.C_GetInterfaceList(interfaces, None) == host.ARGUMENTS_BAD
    found = ctypes.POINTER(Interface)()
    assert module.C_GetInterface(None, None, byref(found), 0) == host.OK
    assert (found[0].functions[0].major, found[0].functions[0].minor) == (3, 2)
    assert module.C_GetInterface(None, None, None, 0) == host.ARGUMENTS_BAD
    fork_safe = 1
    for name, version, flags in (
        (b"Vendor", None, 0),
        (b"PKCS 11", Version(3, 1), 0),
        (None, None, fork_safe),
    ):
        wanted = None if version is None else byref(version)
        assert module.C_GetInterface(name, wanted, byref(found), flags) == host.ARGUMENTS_BAD


def test_without_a_rack_there_are_no_slots(module: Module) -> None:
    assert module.C_Initialize(None) == host.OK
    assert slot_count(module) == 0
    assert module.C_GetSlotList(0, None, None) == host.ARGUMENTS_BAD
    slot, count = c_ulong(), c_ulong()
    for rv in (
        module.C_GetSlotInfo(0, None),
        module.C_GetMechanismList(0, None, byref(count)),
        module.C_OpenSession(0, 4, None, None, byref(slot)),
        module.C_CloseAllSessions(0),
    ):
        assert rv == host.SLOT_ID_INVALID
    assert module.C_CloseSession(1) == host.SESSION_HANDLE_INVALID
    assert module.C_WaitForSlotEvent(DONT_BLOCK, byref(slot), None) == host.NO_EVENT
    assert module.C_WaitForSlotEvent(DONT_BLOCK, byref(slot), b"") == host.ARGUMENTS_BAD


def test_a_rack_that_comes_later_is_found(module: Module, home: Path) -> None:
    assert module.C_Initialize(None) == host.OK
    assert slot_count(module) == 0
    for _ in range(2):  # it may also go, and another one come
        face = ScriptedFace()
        face.answers["C_GetSlotList"] = (host.OK, ([1],))
        with host.running(home, face):
            assert slot_count(module) == 1
            assert len(face.attached) == 1
        assert slot_count(module) == 0
        assert module.C_CloseSession(1) == host.SESSION_HANDLE_INVALID


def test_the_rack_learns_who_comes_and_goes(module: Module, face: ScriptedFace) -> None:
    assert module.C_Initialize(None) == host.OK
    assert module.C_Logout(1) == host.OK
    ((identity, pid, name),) = face.attached
    assert (len(identity), pid) == (16, os.getpid())
    assert name
    assert face.detached == []
    assert module.C_Finalize(None) == host.OK
    assert face.detached == [0]
    assert module.C_Initialize(None) == host.OK
    assert module.C_Logout(1) == host.OK
    assert face.attached[1][0] != identity


def test_long_paths(loaded: Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path.joinpath(*["a-long-name-for-a-folder"] * 8)
    monkeypatch.setenv("UKEY_HOME", str(home))
    face = ScriptedFace()
    with host.running(home, face):
        assert loaded.C_Initialize(None) == host.OK
        assert len(face.attached) == 1
        assert loaded.C_Finalize(None) == host.OK


def test_the_default_home(loaded: Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UKEY_HOME", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    for home in (tmp_path / "state/ukeylab", tmp_path / "user/.local/state/ukeylab"):
        face = ScriptedFace()
        with host.running(home, face):
            assert loaded.C_Initialize(None) == host.OK
            assert len(face.attached) == 1
            assert loaded.C_Finalize(None) == host.OK
        monkeypatch.setenv("XDG_STATE_HOME", "relative")  # of no account


def test_threads_do_not_disturb_each_other(module: Module, face: ScriptedFace) -> None:
    face.answers["C_GetObjectSize"] = lambda session, obj, _: (host.OK, (session * 1000 + obj,))
    assert module.C_Initialize(None) == host.OK
    wrong: list[tuple[int, int]] = []

    def work(session: int) -> None:
        size = c_ulong()
        for obj in range(200):
            rv = module.C_GetObjectSize(session, obj, byref(size))
            if rv != host.OK or size.value != session * 1000 + obj:
                wrong.append((rv, size.value))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(face.attached) == 1
    assert face.detached == []


def test_one_of_racing_initialisations_wins(module: Module, face: ScriptedFace) -> None:
    rvs: list[int] = []
    barrier = threading.Barrier(8)

    def work() -> None:
        barrier.wait()
        rvs.append(module.C_Initialize(None))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(rvs) == [host.OK] + [host.ALREADY_INITIALIZED] * 7
    assert len(face.attached) == 1


@pytest.mark.parametrize("with_rack", [True, False])
def test_finalize_wakes_a_thread_that_waits(
    module: Module,
    home: Path,
    with_rack: bool,
) -> None:
    face = ScriptedFace()
    face.answers["C_WaitForSlotEvent"] = lambda *_: (face.ended.wait(30), (host.NO_EVENT, ()))[1]
    waiting = []
    slot = c_ulong()

    def wait() -> None:
        waiting.append(module.C_WaitForSlotEvent(0, byref(slot), None))

    def scene() -> None:
        assert module.C_Initialize(None) == host.OK
        thread = threading.Thread(target=wait)
        thread.start()
        assert not with_rack or within(5, lambda: face.calls)
        time.sleep(0.1)
        assert waiting == []
        assert module.C_Finalize(None) == host.OK
        thread.join(5)
        assert waiting == [host.NOT_INITIALIZED]

    if with_rack:
        with host.running(home, face):
            scene()
    else:
        scene()


def test_a_child_begins_anew(module: Module, face: ScriptedFace) -> None:
    assert module.C_Initialize(None) == host.OK
    assert module.C_Logout(1) == host.OK
    child = os.fork()
    if child == 0:
        rvs = [module.C_Logout(1), module.C_Initialize(None), module.C_Logout(1)]
        rvs.append(module.C_Finalize(None))
        os._exit(0 if rvs == [host.NOT_INITIALIZED, host.OK, host.OK, host.OK] else 1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert module.C_Logout(1) == host.OK
    assert len(face.attached) == 2
    assert face.detached == [1]  # the child's; the parent's application lives


def test_a_child_that_does_not_initialise_harms_nothing(module: Module, face: ScriptedFace) -> None:
    assert module.C_Initialize(None) == host.OK
    assert module.C_Logout(1) == host.OK
    child = os.fork()
    if child == 0:
        os._exit(0 if module.C_Finalize(None) == host.NOT_INITIALIZED else 1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert module.C_Logout(1) == host.OK
    assert face.detached == []


def test_a_program_that_is_killed_takes_its_application_with_it(
    loaded: Module, home: Path, face: ScriptedFace
) -> None:
    face.answers["C_WaitForSlotEvent"] = lambda *_: (face.ended.wait(30), (host.NO_EVENT, ()))[1]
    script = (
        "import ctypes, sys; m = ctypes.CDLL(sys.argv[1]); m.C_Initialize(None); "
        "m.C_WaitForSlotEvent(ctypes.c_ulong(0), ctypes.byref(ctypes.c_ulong()), None)"
    )
    command = [sys.executable, "-c", script, str(loaded.path)]
    environment = {**os.environ, "UKEY_HOME": str(home)}
    with subprocess.Popen(command, env=environment) as program:
        assert within(10, lambda: face.calls)
        program.send_signal(signal.SIGKILL)
        assert within(5, lambda: face.detached == [0])


UNLOADED = """
import _ctypes, ctypes, os, sys, threading
module = ctypes.CDLL(sys.argv[1])
used, unloaded = threading.Event(), threading.Event()
def work():
    module.C_Logout(ctypes.c_ulong(1))
    used.set()
    unloaded.wait()
module.C_Initialize(None)
thread = threading.Thread(target=work)
thread.start()
used.wait()
if sys.argv[2] == "finalized":
    module.C_Finalize(None)
_ctypes.dlclose(module._handle)
unloaded.set()
thread.join()
opened = [os.path.realpath(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")]
sys.exit(len([file for file in opened if "socket:" in file]))
"""


@pytest.mark.parametrize("how", ["finalized", "forgotten"])
def test_unloading_leaves_nothing(loaded: Module, home: Path, face: ScriptedFace, how: str) -> None:
    command = [sys.executable, "-c", UNLOADED, str(loaded.path), how]
    environment = {**os.environ, "UKEY_HOME": str(home)}
    done = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, timeout=30, check=False
    )
    assert done.returncode == 0
    assert within(5, lambda: face.detached == [0])
