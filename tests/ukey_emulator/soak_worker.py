"""A program of the soak: threads that do everything at once, until they are told or killed."""

import ctypes
import hashlib
import itertools
import mmap
import os
import random
import struct
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from ctypes import byref, c_ulong
from pathlib import Path
from typing import Any

from c_program import CProgram
from program import P256, PIN, SO_PIN, attributes

from ukey_emulator.cryptoki.wire import Mechanism, Out, Query
from ukey_emulator.terms import CKA, CKF, CKM, CKO, CKR, CKU

# What calls may answer that others overtake: by closing, destroying, logging out, pulling the key,
# ending the library. Never a general or a device error.
LEGAL = {
    CKR.OK,
    CKR.NO_EVENT,
    CKR.CRYPTOKI_NOT_INITIALIZED,
    CKR.CRYPTOKI_ALREADY_INITIALIZED,
    CKR.SESSION_HANDLE_INVALID,
    CKR.SESSION_CLOSED,
    CKR.DEVICE_REMOVED,
    CKR.TOKEN_NOT_PRESENT,
    CKR.OBJECT_HANDLE_INVALID,
    CKR.KEY_HANDLE_INVALID,
    CKR.USER_NOT_LOGGED_IN,
    CKR.USER_ALREADY_LOGGED_IN,
    CKR.USER_ANOTHER_ALREADY_LOGGED_IN,
    CKR.OPERATION_ACTIVE,
    CKR.OPERATION_NOT_INITIALIZED,
    CKR.PIN_INCORRECT,
}
ROOM = Out(asked=True, capacity=512)
RW = CKF.SERIAL_SESSION | CKF.RW_SESSION
MOST_OBJECTS, MOST_PAIRS = 60, 12
SHA256, ECDSA = Mechanism(CKM.SHA256, None), Mechanism(CKM.ECDSA, None)
EC_PAIR = Mechanism(CKM.EC_KEY_PAIR_GEN, None)
DIGEST = hashlib.sha256(b"data").digest()
RECORD = struct.Struct("<QQQ")  # calls, longest call in microseconds, version of the own object


def content(label: bytes, version: bytes) -> bytes:
    """Give what an object of that label and version holds."""
    return hashlib.sha256(label + b"/" + version).digest() * (1 + label[-1] % 8)


class Board:
    """Memory that the soak and its programs share: what each counted, and whether to stop."""

    def __init__(self, places: int) -> None:
        self.places = places
        self._memory = mmap.mmap(-1, RECORD.size * (places + 1))

    def note(self, place: int, *numbers: int) -> None:
        RECORD.pack_into(self._memory, RECORD.size * (place + 1), *numbers)

    def record(self, place: int) -> tuple[int, int, int]:
        calls, longest, version = RECORD.unpack_from(self._memory, RECORD.size * (place + 1))
        return calls, longest, version

    def stop(self) -> None:
        self._memory[0] = 1

    @property
    def stopped(self) -> bool:
        return self._memory[0] != 0


class FaultError(AssertionError):
    """An answer that must not be."""


class Program:
    """The library in this process, which its threads share, and the slot that they use."""

    def __init__(self, slot: int) -> None:
        with tempfile.TemporaryDirectory() as folder:
            self.library = CProgram(Path(folder))
        self.slot = slot
        self.shared = 0


class Worker:
    """One thread: its sessions, its own object, and what it does next."""

    def __init__(self, program: Program, board: Board, place: int, seed: str) -> None:
        self._program = program
        self._board = board
        self._place = place
        self._random = random.Random(seed)  # noqa: S311 - a soak is repeated by its seed
        self._numbers = itertools.count()
        self._name = f"{place}.{os.getpid()}"
        self._calls, self._longest, self._known = board.record(place)
        self._versions = itertools.count(self._known + 1)
        self._session = 0
        self._actions: list[Callable[[], None]] = [
            *[self.digest, self.sign, self.look, self.create, self.destroy, self.change] * 4,
            *[self.own, self.follow, self.session_pair, self.share] * 3,
            *[self.token_pair, self.log_out, self.close, self.wait, self.copy] * 2,
            *(self.wrong_pin, self.finalise, self.fork, self.fork_anew, self.thread),
        ]

    def run(self) -> None:
        """Do one thing after the other until the board says stop."""
        while not self._board.stopped:
            self._random.choice(self._actions)()

    def call(self, name: str, *arguments: object) -> tuple[CKR, Any]:
        """Make a call; FaultError for an answer that is not legal."""
        begun = time.monotonic()
        code, results = self._program.library._called(name, arguments)
        self._longest = max(self._longest, int((time.monotonic() - begun) * 1e6))
        self._calls += 1
        self._board.note(self._place, self._calls, self._longest, self._known)
        if code not in LEGAL:
            raise FaultError(f"{name} gave CKR_{code.name}")
        return code, results[0] if len(results) == 1 else results

    def session(self) -> int:
        """Give a session, logged in unless another thread has just logged out."""
        handle = c_ulong()
        if not self._session or self.call("C_GetSessionInfo", self._session, INFO)[0] != CKR.OK:
            arguments = (self._program.slot, RW, None, None, byref(handle))
            code, _ = self.call("C_OpenSession", *arguments)
            if code == CKR.CRYPTOKI_NOT_INITIALIZED:
                self.call("C_Initialize", None)
                self.call("C_GetSlotList", True, None, byref(handle))
            self._session = handle.value if code == CKR.OK else 0
        if self._session:
            self.call("C_Login", self._session, int(CKU.USER), PIN)
        return self._session

    def search(self, **wanted: object) -> list[int] | None:
        """Search for objects; None if something came in between."""
        session = self.session()
        if self.call("C_FindObjectsInit", session, attributes(**wanted))[0] != CKR.OK:
            return None
        handles, count = (c_ulong * 500)(), c_ulong()
        found = self.call("C_FindObjects", session, handles, 500, byref(count))[0] == CKR.OK
        self.call("C_FindObjectsFinal", session)
        return list(handles[: count.value]) if found else None

    def found(self, **wanted: object) -> list[int]:
        return self.search(**wanted) or []

    # Without objects

    def digest(self) -> None:
        session = self.session()
        if self.call("C_DigestInit", session, SHA256)[0] == CKR.OK:
            code, answer = self.call("C_Digest", session, b"data", ROOM)
            if code == CKR.OK and answer != DIGEST:
                raise FaultError("another digest")

    def share(self) -> None:
        """Use the session that threads share; what one began another may end."""
        session = self._program.shared = self._program.shared or self.session()
        for name, arguments in (
            ("C_DigestInit", (SHA256,)),
            ("C_DigestUpdate", (b"data",)),
            ("C_DigestFinal", (ROOM,)),
        ):
            if self.call(name, session, *arguments)[0] != CKR.OK:
                self._program.shared = 0

    def wait(self) -> None:
        self.call("C_WaitForSlotEvent", int(CKF.DONT_BLOCK), byref(c_ulong()), None)

    # Objects of the token that everybody reads, changes and destroys

    def data(self, label: bytes, version: bytes) -> Any:
        private = label.startswith(b"any") and self._random.random() < 0.5
        value = content(label, version)
        common = {"CLASS": int(CKO.DATA), "TOKEN": True, "PRIVATE": private}
        return attributes(**common, LABEL=label, APPLICATION=version, VALUE=value)

    def create(self) -> None:
        if len(self.found(CLASS=int(CKO.DATA))) < MOST_OBJECTS:
            label = f"any-{self._name}-{next(self._numbers)}".encode()
            self.call("C_CreateObject", self._session, self.data(label, b"0"), True)

    def look(self) -> None:
        """Read any object: whoever changes it, label, version and value fit each other."""
        for handle in self.found(CLASS=int(CKO.DATA))[:5]:
            self.read(handle)

    def read(self, handle: int) -> tuple[bytes, bytes] | None:
        kinds = (CKA.LABEL, CKA.APPLICATION, CKA.VALUE)
        query = [Query(kind, 512, None) for kind in kinds]
        code, answers = self.call("C_GetAttributeValue", self._session, handle, query)
        if code != CKR.OK:
            return None
        label, version, value = (answer for _, answer in answers)
        if value != content(label, version):
            raise FaultError(f"{label!r} of version {version!r} has another value")
        return label, version

    def anyone(self) -> tuple[int, bytes] | None:
        """Give an object that is nobody's own, or whose owner has died, and its label."""
        found = self.found(CLASS=int(CKO.DATA))
        handle = self._random.choice(found) if found else 0
        read = self.read(handle) if handle else None
        if read is None:
            return None
        if read[0].startswith(b"own") and self.alive(read[0]):
            return None
        return handle, read[0]

    @staticmethod
    def alive(label: bytes) -> bool:
        return Path("/proc/" + label.decode().split("-")[1].split(".")[1]).exists()

    def destroy(self) -> None:
        chosen = self.anyone()
        if chosen:
            self.call("C_DestroyObject", self._session, chosen[0])

    def change(self) -> None:
        chosen = self.anyone()
        if chosen:
            version = str(self._random.randrange(10**6)).encode()
            new = attributes(APPLICATION=version, VALUE=content(chosen[1], version))
            self.call("C_SetAttributeValue", self._session, chosen[0], new)

    def copy(self) -> None:
        chosen = self.anyone()
        if chosen and len(self.found(CLASS=int(CKO.DATA))) < MOST_OBJECTS:
            label = f"any-{self._name}-{next(self._numbers)}".encode()
            new = attributes(LABEL=label, APPLICATION=b"1", VALUE=content(label, b"1"))
            self.call("C_CopyObject", self._session, chosen[0], new, True)

    # An object that only this thread changes: whoever reads it afterwards sees the change

    def own(self) -> None:
        label = f"own-{self._name}".encode()
        found = self.search(LABEL=label)
        if found is None:
            return
        number = next(self._versions)
        version = str(number).encode()
        if not found:
            code, _ = self.call("C_CreateObject", self._session, self.data(label, version), True)
        else:
            new = attributes(APPLICATION=version, VALUE=content(label, version))
            code, _ = self.call("C_SetAttributeValue", self._session, found[0], new)
        if code == CKR.OK:
            self._known = number
            self._board.note(self._place, self._calls, self._longest, number)
            read = self.read(found[0]) if found else None
            if read is not None and read[0] == label and int(read[1]) != number:
                raise FaultError(f"{label!r} was read in version {read[1]!r} after {version!r}")

    def follow(self) -> None:
        """Read what another program has changed: never an older version than was known before."""
        place = self._random.randrange(self._board.places)
        for handle in self.found(CLASS=int(CKO.DATA)):
            read = self.read(handle)
            if read is None or not read[0].startswith(b"own-%d." % place):
                continue
            for _ in range(5):
                known = self._board.record(place)[2]
                again = self.read(handle)
                if again is None or again[0] != read[0]:
                    break  # after another thread's C_Finalize the handle is another object's
                if self.alive(again[0]) and int(again[1]) < known:
                    raise FaultError(f"{again[0]!r} was read in version {again[1]!r}, not {known}")

    # Keys

    def pair(self, **more: object) -> tuple[int, int] | None:
        ident = f"{self._name}-{next(self._numbers)}".encode()
        public = attributes(EC_PARAMS=P256, ID=ident, **more)
        private = attributes(ID=ident, SIGN=True, PRIVATE=True, **more)
        arguments = (EC_PAIR, public, private, True, True)
        code, pair = self.call("C_GenerateKeyPair", self._session, *arguments)
        return pair if code == CKR.OK else None

    def signed(self, public: int, private: int) -> None:
        session = self._session
        if self.call("C_SignInit", session, ECDSA, private)[0] != CKR.OK:
            return
        code, signature = self.call("C_Sign", session, DIGEST, ROOM)
        if code == CKR.OK and self.call("C_VerifyInit", session, ECDSA, public)[0] == CKR.OK:
            self.call("C_Verify", session, DIGEST, signature)  # a wrong one is not legal

    def session_pair(self) -> None:
        if self.session():
            pair = self.pair()
            if pair:
                self.signed(*pair)
                for half in pair:
                    self.call("C_DestroyObject", self._session, half)

    def token_pair(self) -> None:
        if len(self.found(CLASS=int(CKO.PRIVATE_KEY), TOKEN=True)) < MOST_PAIRS:
            self.pair(TOKEN=True)

    def sign(self) -> None:
        found = self.found(CLASS=int(CKO.PRIVATE_KEY), TOKEN=True)
        if not found:
            return
        private = self._random.choice(found)
        query = [Query(CKA.ID, 100, None)]
        code, answers = self.call("C_GetAttributeValue", self._session, private, query)
        if code == CKR.OK:
            ident = answers[0][1]
            public = self.found(CLASS=int(CKO.PUBLIC_KEY), ID=ident)
            if public:
                self.signed(public[0], private)

    # Ends

    def log_out(self) -> None:
        self.call("C_Logout", self.session())

    def wrong_pin(self) -> None:
        session = self.session()
        self.call("C_Logout", session)
        self.call("C_Login", session, int(CKU.USER), SO_PIN)

    def close(self) -> None:
        if self._random.random() < 0.2:  # one time in five
            self.call("C_CloseAllSessions", self._program.slot)
        else:
            self.call("C_CloseSession", self._session)

    def finalise(self) -> None:
        self.call("C_Finalize", None)
        self.call("C_Initialize", None)

    def thread(self) -> None:
        """Make a call in a thread that lives no longer than that, with the GIL let go."""
        info, library = (ctypes.c_ubyte * 208)(), self._program.library._library
        brief = threading.Thread(target=library.C_GetTokenInfo, args=(c_ulong(0), info))
        brief.start()
        brief.join()

    def fork(self, work: Callable[[], bool] | None = None) -> None:
        child = os.fork()
        if child == 0:
            fine = False
            try:
                code = self._program.library.rv("C_GetSlotList", True, None, byref(c_ulong()))
                fine = code is CKR.CRYPTOKI_NOT_INITIALIZED and (work is None or work())
            finally:
                os._exit(0 if fine else 1)
        if os.waitpid(child, 0)[1] != 0:
            raise FaultError("a forked process met a fault")

    def fork_anew(self) -> None:
        def work() -> bool:
            library, handle = self._program.library, c_ulong()
            first = library.rv("C_Initialize", None)
            second = library.rv("C_OpenSession", 0, RW, None, None, byref(handle))
            return (first, second) == (CKR.OK, CKR.OK)

        self.fork(work)


INFO = (ctypes.c_ubyte * 32)()


def work(
    board: Board, places: list[int], slot: int, seed: str, complain: Callable[[str], None]
) -> None:
    """Be a program with a thread for each of these places, until the board says stop."""
    program = Program(slot)
    program.library.rv("C_Initialize", None)

    def run(place: int) -> None:
        try:
            Worker(program, board, place, f"{seed} {place}").run()
        except BaseException:  # noqa: BLE001 - told to the soak, whatever it is
            complain(f"seed {seed}, place {place}: {traceback.format_exc()}")
            board.stop()

    threads = [threading.Thread(target=run, args=(place,)) for place in places]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
