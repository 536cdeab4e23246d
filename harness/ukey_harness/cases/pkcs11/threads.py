"""Several threads in one application (PKCS#11 3.2 §5.4.1): TH."""

import threading
from collections import Counter
from collections.abc import Callable

from ukey_harness.cases.case import Section
from ukey_harness.cases.pkcs11.digest import SHA256
from ukey_harness.cases.pkcs11.general import arguments
from ukey_harness.cases.pkcs11.keys import MESSAGE, data, rsa
from ukey_harness.cases.pkcs11.sign import HASHED_RSA
from ukey_harness.cases.pkcs11.stand import Stand
from ukey_harness.cryptoki.arguments import Cell, Mechanism
from ukey_harness.cryptoki.names import CKA, CKF_OS_LOCKING_OK, CKM

threads = Section("PKCS#11 3.2", "Threads")

SIGNERS, SIGNATURES = 8, 20
MAKERS, OBJECTS = 6, 30
RACERS = 8
CONTENT = b"made by one of many threads"


def at_once(count: int, work: Callable[[int], None]) -> list[str]:
    """Let so many threads work at the same time; return what went wrong in them."""
    start = threading.Barrier(count)
    wrong: list[str] = []

    def run(index: int) -> None:
        start.wait()
        try:
            work(index)
        except Exception as error:  # noqa: BLE001 - told to the case, whatever it is
            wrong.append(str(error))

    running = [threading.Thread(target=run, args=(index,), daemon=True) for index in range(count)]
    for each in running:
        each.start()
    for each in running:
        each.join()
    return wrong


@threads.case(
    "TH-01",
    "5.4.1",
    "Threads that sign at the same time, each in a session of its own, all get right signatures.",
    f"{SIGNERS * SIGNATURES} right",
    needs=(HASHED_RSA,),
    limit=30.0,
)
def _th_01(stand: Stand) -> str:
    session = stand.user()
    public, private = rsa(stand, session)
    sessions = [stand.session() for _ in range(SIGNERS)]
    kind = CKM.SHA256_RSA_PKCS
    signed: list[tuple[bytes, bytes]] = []

    def work(index: int) -> None:
        for turn in range(SIGNATURES):
            what = MESSAGE + bytes([index, turn])
            signed.append((what, stand.done("Sign", sessions[index], kind, private, what)))

    wrong = at_once(SIGNERS, work)
    if wrong:
        return wrong[0]
    right = 0
    for what, signature in signed:
        stand.begin("Verify", session, kind, public)
        right += stand.rv("Verify", session, what, signature) == "OK"
    return f"{right} right"


@threads.case(
    "TH-02",
    "5.4.1",
    "Threads that make, find and destroy objects at the same time do not get in each other's way.",
    "all found, 0 left",
    limit=30.0,
)
def _th_02(stand: Stand) -> tuple[str, str]:
    session = stand.session()
    sessions = [stand.session() for _ in range(MAKERS)]

    def work(index: int) -> None:
        for turn in range(OBJECTS):
            label = f"ukeylab {index} {turn}"
            made = data({CKA.LABEL: label, CKA.VALUE: CONTENT})
            handle = stand.create(sessions[index], made)
            found = stand.find(sessions[index], {CKA.LABEL: label})
            if found != [handle]:
                raise ValueError(f"{len(found)} objects found for one label")
            stand.must("DestroyObject", sessions[index], handle)

    wrong = at_once(MAKERS, work)
    left = len(stand.find(session, {CKA.VALUE: CONTENT}))
    return wrong[0] if wrong else "all found", f"{left} left"


@threads.case(
    "TH-03",
    "5.6.2",
    "A session may be closed while another thread uses it: that one is told, and all else goes on.",
    "told, works",
    needs=(SHA256,),
)
def _th_03(stand: Stand) -> tuple[str, str]:
    other = stand.session()
    names: Counter[str] = Counter()
    for _ in range(10):
        session = stand.session()
        begun = threading.Event()

        def digest(session: int = session, begun: threading.Event = begun) -> None:
            while True:
                for name in (
                    stand.rv("DigestInit", session, Mechanism(CKM.SHA256)),
                    stand.rv("DigestUpdate", session, MESSAGE * 100),
                    stand.output("DigestFinal", session)[0],
                ):
                    names[name] += 1
                    if name != "OK":
                        return
                begun.set()

        thread = threading.Thread(target=digest, daemon=True)
        thread.start()
        begun.wait(5)
        stand.rv("CloseSession", session)
        thread.join(5)
        if thread.is_alive():
            return "a thread never came back", "works"
    expected = {"OK", "SESSION_HANDLE_INVALID", "SESSION_CLOSED", "OPERATION_NOT_INITIALIZED"}
    odd = set(names) - expected
    value = stand.digest(other, MESSAGE)
    fine = value == stand.digest(stand.session(), MESSAGE)
    return " ".join(sorted(odd)) or "told", "works" if fine else "another digest"


@threads.case(
    "TH-04",
    "5.4.1",
    "Of several threads that initialise the library at the same time, one does it.",
    f"1 OK, {RACERS - 1} CRYPTOKI_ALREADY_INITIALIZED, OK",
    allow=("*, *, OK", "*, OK"),
)
def _th_04(stand: Stand) -> tuple[str, ...]:
    names: Counter[str] = Counter()
    given = [arguments(stand, CKF_OS_LOCKING_OK) for _ in range(RACERS)]

    def work(index: int) -> None:
        names[stand.rv("Initialize", given[index])] += 1

    at_once(RACERS, work)
    odd = set(names) - {"OK", "CRYPTOKI_ALREADY_INITIALIZED"}
    if odd or not names["OK"]:
        return (" ".join(sorted(odd)) or "nobody initialised it",)
    told = [
        f"{names[name]} {name}" for name in ("OK", "CRYPTOKI_ALREADY_INITIALIZED") if names[name]
    ]
    return *told, stand.rv("GetSlotList", 0, None, Cell())
