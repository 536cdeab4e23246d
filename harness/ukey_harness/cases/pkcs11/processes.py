"""Several processes ([PKCS11-UG] on applications and processes; PKCS#11 3.2 §4.4, §5.4.1): FK."""

import json
import os
import select
import signal
import time
from collections.abc import Callable

from ukey_harness.cases.case import NotApplicable, Section, Seen, facts
from ukey_harness.cases.pkcs11.general import arguments
from ukey_harness.cases.pkcs11.keys import MESSAGE, data
from ukey_harness.cases.pkcs11.stand import MARK, Stand
from ukey_harness.cryptoki.arguments import Cell, Template
from ukey_harness.cryptoki.names import CKA, CKF_OS_LOCKING_OK

processes = Section("PKCS#11 3.2", "Processes")

LACKING = "lacking"  # what another process says that the device lacks
PATIENCE = 8.0  # seconds that another process may take


class Process:
    """Another process, forked from this one; it does one thing after the other as it is told."""

    def __init__(self, **deeds: Callable[[], Seen]) -> None:
        mine, its = os.pipe(), os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(mine[0])
            os.close(its[1])
            _obey(its[0], mine[1], deeds)
        os.close(mine[1])
        os.close(its[0])
        self._answers, self._orders = mine[0], its[1]

    def do(self, deed: str) -> tuple[str, ...]:
        """Have it do something; return what it saw, or how it ended; NotApplicable as it says."""
        os.write(self._orders, f"{deed}\n".encode())
        deadline = time.monotonic() + PATIENCE
        answer = b""
        while not answer.endswith(b"\n"):
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._answers], [], [], left)[0]:
                os.kill(self.pid, signal.SIGKILL)
                return ("hung",)
            chunk = os.read(self._answers, 65536)
            if not chunk:
                return (self.end(),)
            answer += chunk
        seen = tuple(json.loads(answer))
        if seen[:1] == (LACKING,):
            raise NotApplicable(seen[1])
        return seen

    def end(self) -> str:
        """Wait for its end; return how it ended."""
        os.close(self._orders)
        status = os.waitpid(self.pid, 0)[1]
        if os.WIFSIGNALED(status):
            return f"ended by {signal.Signals(os.WTERMSIG(status)).name}"
        return f"ended with {status >> 8}"


def _obey(orders: int, answers: int, deeds: dict[str, Callable[[], Seen]]) -> None:
    """Be the other process: never return."""
    try:
        with os.fdopen(orders) as lines:
            for line in lines:
                try:
                    seen = facts(deeds[line.strip()]())
                except NotApplicable as reason:
                    seen = (LACKING, str(reason))
                except Exception as error:  # noqa: BLE001 - told to the case
                    seen = (str(error),)
                os.write(answers, json.dumps(seen).encode() + b"\n")
    finally:
        os._exit(0)


def once(work: Callable[[], Seen]) -> tuple[str, ...]:
    """Do something in a forked process, and wait for that to end."""
    process = Process(work=work)
    seen = process.do("work")
    if seen and not seen[0].startswith(("ended", "hung")):
        process.end()
    return seen


def _initialize(stand: Stand) -> str:
    return stand.rv("Initialize", arguments(stand, CKF_OS_LOCKING_OK))


@processes.case(
    "FK-01",
    "5.4.1",
    "A forked process is an application of its own: it can initialise the library, and nobody is "
    "logged in there.",
    "OK, 2, 3",
)
def _fk_01(stand: Stand) -> tuple[str | int, ...]:
    session = stand.user()

    def child() -> Seen:
        name = _initialize(stand)
        return (name, stand.state(stand.session())) if name == "OK" else name

    return *once(child), stand.state(session)


@processes.case(
    "FK-02",
    "5.4.1",
    "A forked process that has not initialised the library does not have its parent's sessions; "
    "what it is told is left open.",
    "CRYPTOKI_NOT_INITIALIZED, 3",
    allow=("SESSION_HANDLE_INVALID | DEVICE_ERROR | FUNCTION_FAILED | GENERAL_ERROR, 3", "OK, 3"),
)
def _fk_02(stand: Stand) -> tuple[str | int, ...]:
    session = stand.user()
    info = stand.module.ffi.new("CK_SESSION_INFO *")
    return *once(lambda: stand.rv("GetSessionInfo", session, info)), stand.state(session)


@processes.case(
    "FK-03",
    "5.4.1",
    "The parent goes on working when a forked process has ended, whether that used the library or "
    "not.",
    "ended, 3, OK",
)
def _fk_03(stand: Stand) -> tuple[str | int, ...]:
    session = stand.user()
    once(lambda: "nothing done")

    def used() -> Seen:
        name = _initialize(stand)
        if name == "OK":
            stand.rv("GetSlotList", 0, None, Cell())
            stand.rv("Finalize", None)
        return name

    once(used)
    name = stand.rv("CreateObject", session, Template(data({CKA.VALUE: MESSAGE})), Cell())
    return "ended", stand.state(session), name


@processes.case(
    "FK-04",
    "4.4",
    "Processes see each other's token objects come and go, and not each other's session objects or "
    "login.",
    "0, 1, 0, 2",
)
def _fk_04(stand: Stand) -> tuple[str | int, ...]:
    # The other process must not inherit a library that is in use here: it is forked first.
    other = Stand(stand.subject)

    def make() -> Seen:
        session = other.user()
        other.create(session, data({CKA.TOKEN: True}))
        other.create(session, data({CKA.LABEL: "ukeylab-case passing"}))
        return "made"

    process = Process(make=make, count=lambda: other.labelled(other.session()))
    session = stand.session()
    before = stand.labelled(session)
    made = process.do("make")
    if made != ("made",):
        return made
    found = stand.find(session, {CKA.LABEL: MARK})
    passing = stand.labelled(session, "ukeylab-case passing")
    state = stand.state(session)
    stand.enter(session)
    for handle in found:
        stand.rv("DestroyObject", session, handle)
    left = process.do("count")
    process.end()
    return before, len(found) + passing, *left, state
