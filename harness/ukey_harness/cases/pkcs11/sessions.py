"""Sessions and login (PKCS#11 3.2 §5.6): SE."""

from ukey_harness.cases.case import Section
from ukey_harness.cases.pkcs11.keys import MESSAGE, More, data
from ukey_harness.cases.pkcs11.needs import mechanism
from ukey_harness.cases.pkcs11.stand import MARK, Stand
from ukey_harness.cryptoki.arguments import Cell, Mechanism, Room, Template
from ukey_harness.cryptoki.names import (
    CKA,
    CKF,
    CKF_RW_SESSION,
    CKF_SERIAL_SESSION,
    CKM,
    CKU,
    NOBODY,
)

sessions = Section("PKCS#11 3.2", "Sessions and login")

PRIVATE: More = {CKA.PRIVATE: True}
KEPT: More = {CKA.TOKEN: True}
KEPT_PRIVATE: More = {CKA.TOKEN: True, CKA.PRIVATE: True}
MANY = 3000


def opened(stand: Stand, slot: int, flags: int) -> str:
    """C_OpenSession with these flags."""
    return stand.rv("OpenSession", slot, flags, None, None, Cell())


@sessions.case(
    "SE-01",
    "5.6.1",
    "C_OpenSession wants CKF_SERIAL_SESSION.",
    "SESSION_PARALLEL_NOT_SUPPORTED, SESSION_PARALLEL_NOT_SUPPORTED",
)
def _se_01(stand: Stand) -> tuple[str, str]:
    return opened(stand, stand.slot, CKF_RW_SESSION), opened(stand, stand.slot, 0)


@sessions.case("SE-02", "5.6.1", "C_OpenSession refuses an unknown slot.", "SLOT_ID_INVALID")
def _se_02(stand: Stand) -> str:
    stand.initialize()
    return opened(stand, NOBODY, CKF_SERIAL_SESSION)


@sessions.case("SE-03", "5.6.1", "C_OpenSession refuses a NULL handle.", "ARGUMENTS_BAD")
def _se_03(stand: Stand) -> str:
    return stand.rv("OpenSession", stand.slot, CKF_SERIAL_SESSION, None, None, None)


@sessions.case("SE-04", "3.3", "New sessions are public: 0 read-only, 2 read/write.", "0, 2")
def _se_04(stand: Stand) -> tuple[int, int]:
    return stand.state(stand.session(write=False)), stand.state(stand.session())


@sessions.case("SE-05", "3.3", "Session handles are never 0 and never twice the same.", "distinct")
def _se_05(stand: Stand) -> str:
    handles = [stand.session(write=index % 2 == 0) for index in range(50)]
    if 0 in handles:
        return "a handle is 0"
    return "distinct" if len(set(handles)) == len(handles) else "a handle came twice"


@sessions.case(
    "SE-06",
    "5.6.4",
    "CK_SESSION_INFO tells the session's slot and the flags that it was opened with.",
    "slot, RW+SERIAL, slot, SERIAL",
)
def _se_06(stand: Stand) -> tuple[str, ...]:
    seen: list[str] = []
    for write in (True, False):
        info = stand.structure("GetSessionInfo", "CK_SESSION_INFO", stand.session(write=write))
        seen.append("slot" if info.slotID == stand.slot else f"slot {info.slotID}")
        names = {6: "RW+SERIAL", 4: "SERIAL"}
        seen.append(names.get(int(info.flags), hex(info.flags)))
    return tuple(seen)


@sessions.case(
    "SE-07",
    "5.6.4",
    "C_GetSessionInfo refuses a handle that is none, and a NULL pointer.",
    "SESSION_HANDLE_INVALID, SESSION_HANDLE_INVALID, ARGUMENTS_BAD",
)
def _se_07(stand: Stand) -> tuple[str, ...]:
    session, info = stand.session(), stand.module.ffi.new("CK_SESSION_INFO *")
    return (
        stand.rv("GetSessionInfo", NOBODY, info),
        stand.rv("GetSessionInfo", 0, info),
        stand.rv("GetSessionInfo", session, None),
    )


@sessions.case(
    "SE-08",
    "5.6.2",
    "A session is closed once; its handle is invalid afterwards.",
    "OK, SESSION_HANDLE_INVALID, SESSION_HANDLE_INVALID",
)
def _se_08(stand: Stand) -> tuple[str, ...]:
    stand.session()
    session = stand.session()
    first = stand.rv("CloseSession", session)
    info = stand.module.ffi.new("CK_SESSION_INFO *")
    return first, stand.rv("CloseSession", session), stand.rv("GetSessionInfo", session, info)


@sessions.case("SE-09", "5.6.3", "C_CloseAllSessions refuses an unknown slot.", "SLOT_ID_INVALID")
def _se_09(stand: Stand) -> str:
    stand.initialize()
    return stand.rv("CloseAllSessions", NOBODY)


@sessions.case(
    "SE-10",
    "5.6.3",
    "C_CloseAllSessions closes every session and ends the login.",
    "OK, SESSION_HANDLE_INVALID, 2",
)
def _se_10(stand: Stand) -> tuple[str | int, ...]:
    session = stand.user()
    stand.session(write=False)
    name = stand.rv("CloseAllSessions", stand.slot)
    info = stand.module.ffi.new("CK_SESSION_INFO *")
    return name, stand.rv("GetSessionInfo", session, info), stand.state(stand.session())


@sessions.case(
    "SE-11",
    "5.6.2",
    "The login lasts until the last session is closed, and no longer.",
    "3, 2",
)
def _se_11(stand: Stand) -> tuple[int, int]:
    first = stand.user()
    second = stand.session()
    stand.must("CloseSession", first)
    seen = stand.state(second)
    stand.must("CloseSession", second)
    return seen, stand.state(stand.session())


@sessions.case(
    "SE-12",
    "5.6.8",
    "A login holds for all sessions of the application, whichever it was made in.",
    "1, 3",
)
def _se_12(stand: Stand) -> tuple[int, int]:
    read_only, read_write = stand.session(write=False), stand.session()
    stand.enter(read_only)
    return stand.state(read_only), stand.state(read_write)


@sessions.case("SE-13", "5.6.1", "A session opened after the login has it as well.", "1, 3")
def _se_13(stand: Stand) -> tuple[int, int]:
    stand.user()
    return stand.state(stand.session(write=False)), stand.state(stand.session())


@sessions.case(
    "SE-14",
    "5.6.8",
    "The SO cannot log in while there is a read-only session.",
    "SESSION_READ_ONLY_EXISTS, 2",
)
def _se_14(stand: Stand) -> tuple[str | int, ...]:
    stand.session(write=False)
    session = stand.session()
    return stand.login(session, CKU.SO), stand.state(session)


@sessions.case(
    "SE-15",
    "5.6.1",
    "No read-only session can be opened while the SO is logged in; read/write ones can.",
    "SESSION_READ_WRITE_SO_EXISTS, OK",
)
def _se_15(stand: Stand) -> tuple[str, str]:
    stand.so()
    both = CKF_SERIAL_SESSION | CKF_RW_SESSION
    return opened(stand, stand.slot, CKF_SERIAL_SESSION), opened(stand, stand.slot, both)


@sessions.case(
    "SE-16",
    "5.6.8",
    "A user who is logged in cannot log in again, in this session or another.",
    "USER_ALREADY_LOGGED_IN, USER_ALREADY_LOGGED_IN, 3",
)
def _se_16(stand: Stand) -> tuple[str | int, ...]:
    session = stand.user()
    return stand.login(session), stand.login(stand.session()), stand.state(session)


@sessions.case(
    "SE-17",
    "5.6.8",
    "One kind of user cannot log in while the other is.",
    "USER_ANOTHER_ALREADY_LOGGED_IN, 3, USER_ANOTHER_ALREADY_LOGGED_IN, 4",
)
def _se_17(stand: Stand) -> tuple[str | int, ...]:
    session = stand.user()
    first = stand.login(session, CKU.SO), stand.state(session)
    stand.must("Logout", session)
    stand.enter(session, CKU.SO)
    return *first, stand.login(session, CKU.USER), stand.state(session)


@sessions.case("SE-18", "5.6.8", "C_Login refuses an unknown user type.", "USER_TYPE_INVALID, 2")
def _se_18(stand: Stand) -> tuple[str | int, ...]:
    session = stand.session()
    return stand.login(session, 99), stand.state(session)


@sessions.case(
    "SE-19",
    "5.6.10",
    "Nobody who is not logged in can log out.",
    "USER_NOT_LOGGED_IN, OK, USER_NOT_LOGGED_IN",
)
def _se_19(stand: Stand) -> tuple[str, ...]:
    session = stand.session()
    first = stand.rv("Logout", session)
    stand.enter(session)
    return first, stand.rv("Logout", session), stand.rv("Logout", session)


@sessions.case("SE-20", "5.6.8", "The SO's login gives the state of the SO's functions.", "4")
def _se_20(stand: Stand) -> int:
    return stand.state(stand.so())


@sessions.case(
    "SE-21",
    "5.6.10",
    "C_Logout destroys the private session objects.",
    "1, 0",
)
def _se_21(stand: Stand) -> tuple[int, int]:
    session = stand.user()
    stand.create(session, data(PRIVATE))
    before = stand.labelled(session)
    stand.must("Logout", session)
    stand.enter(session)
    return before, stand.labelled(session)


@sessions.case(
    "SE-22",
    "5.6.10",
    "Handles of private token objects die with the logout, and stay dead after the next login.",
    "OBJECT_HANDLE_INVALID, 1",
)
def _se_22(stand: Stand) -> tuple[str | int, ...]:
    session = stand.user()
    old = stand.create(session, data(KEPT_PRIVATE))
    stand.must("Logout", session)
    stand.enter(session)
    name = stand.attributes(session, old, CKA.LABEL)[0]
    return name, stand.labelled(session)


@sessions.case(
    "SE-23",
    "5.6.10",
    "After the logout a private object cannot be used by its handle.",
    "OBJECT_HANDLE_INVALID, OBJECT_HANDLE_INVALID",
    allow=(
        "OBJECT_HANDLE_INVALID | USER_NOT_LOGGED_IN, OBJECT_HANDLE_INVALID | USER_NOT_LOGGED_IN",
    ),
)
def _se_23(stand: Stand) -> tuple[str, str]:
    session = stand.user()
    handle = stand.create(session, data(KEPT_PRIVATE))
    stand.must("Logout", session)
    return (
        stand.attributes(session, handle, CKA.VALUE)[0],
        stand.rv("DestroyObject", session, handle),
    )


@sessions.case(
    "SE-24",
    "5.6.8",
    "A context-specific login without an operation that wants it is refused, and the login stays.",
    "OPERATION_NOT_INITIALIZED, 3",
)
def _se_24(stand: Stand) -> tuple[str | int, ...]:
    session = stand.user()
    return stand.login(session, CKU.CONTEXT_SPECIFIC), stand.state(session)


@sessions.case(
    "SE-25",
    "5.6.2",
    "Session objects are seen by other sessions, and vanish with the session that made them.",
    "1, 0, OBJECT_HANDLE_INVALID",
)
def _se_25(stand: Stand) -> tuple[int | str, ...]:
    first, second = stand.session(), stand.session()
    handle = stand.create(first, data())
    seen = stand.labelled(second)
    stand.must("CloseSession", first)
    return seen, stand.labelled(second), stand.attributes(second, handle, CKA.LABEL)[0]


@sessions.case(
    "SE-26",
    "4.4",
    "Token objects are still there after C_Finalize and C_Initialize.",
    "1, same",
)
def _se_26(stand: Stand) -> tuple[int | str, ...]:
    return _after_restart(stand, {**KEPT, CKA.VALUE: b"lasting"})


@sessions.case(
    "SE-27", "4.4", "Session objects are gone after C_Finalize and C_Initialize.", "0, none"
)
def _se_27(stand: Stand) -> tuple[int | str, ...]:
    return _after_restart(stand, {CKA.TOKEN: False, CKA.VALUE: b"lasting"})


def _after_restart(stand: Stand, more: More) -> tuple[int | str, ...]:
    stand.create(stand.user(), data(more))
    stand.finalize()
    stand.forget_slot()
    session = stand.user()
    found = stand.find(session, {CKA.LABEL: MARK})
    value = stand.attribute(session, found[0], CKA.VALUE) if found else None
    for handle in found:
        stand.rv("DestroyObject", session, handle)
    words = {None: "none", b"lasting": "same"}
    return len(found), words.get(value, "another value")


@sessions.case(
    "SE-28",
    "5.6.6",
    "C_GetOperationState without an operation has nothing to save.",
    "OPERATION_NOT_INITIALIZED",
    allow=("FUNCTION_NOT_SUPPORTED | STATE_UNSAVEABLE",),
)
def _se_28(stand: Stand) -> str:
    return stand.rv("GetOperationState", stand.session(), Room())


@sessions.case(
    "SE-29",
    "5.6.7",
    "A digest that is saved goes on in another session where it stood.",
    "OK, OK, same digest",
    allow=("FUNCTION_NOT_SUPPORTED | STATE_UNSAVEABLE",),
    needs=(mechanism(CKM.SHA256, use=CKF.DIGEST),),
)
def _se_29(stand: Stand) -> tuple[str, ...]:
    first, second = stand.session(), stand.session()
    whole = stand.digest(first, MESSAGE)
    stand.must("DigestInit", first, Mechanism(CKM.SHA256))
    stand.must("DigestUpdate", first, MESSAGE[:10])
    name, state = stand.output("GetOperationState", first)
    if name != "OK":
        return (name,)
    restored = stand.rv("SetOperationState", second, state, 0, 0)
    stand.must("DigestUpdate", second, MESSAGE[10:])
    same = stand.made("DigestFinal", second) == whole
    return name, restored, "same digest" if same else "another digest"


@sessions.case("SE-30", "4.4", "The SO does not see private objects.", "0, 1")
def _se_30(stand: Stand) -> tuple[int, int]:
    session = stand.user()
    stand.create(session, data(KEPT_PRIVATE))
    stand.create(session, data({**KEPT, CKA.LABEL: "ukeylab-case public"}))
    stand.must("Logout", session)
    stand.enter(session, CKU.SO)
    seen = stand.labelled(session), stand.labelled(session, "ukeylab-case public")
    stand.must("Logout", session)
    stand.enter(session)
    for handle in stand.find(session, {CKA.LABEL: "ukeylab-case public"}):
        stand.must("DestroyObject", session, handle)
    return seen


@sessions.case(
    "SE-31",
    "5.6.1",
    "A limit of sessions is told by SESSION_COUNT, and the sessions that are open go on.",
    "opened, 0",
    allow=("SESSION_COUNT, 0",),
    limit=60.0,
)
def _se_31(stand: Stand) -> tuple[str | int, ...]:
    first = stand.session(write=False)
    for _ in range(MANY):
        name = opened(stand, stand.slot, CKF_SERIAL_SESSION)
        if name != "OK":
            return name, stand.state(first)
    return "opened", stand.state(first)


@sessions.case(
    "SE-32",
    "5.7.1",
    "A logged-in user may make private session objects in a read-only session.",
    "OK, 1",
)
def _se_32(stand: Stand) -> tuple[str | int, ...]:
    session = stand.user(write=False)
    name = stand.rv("CreateObject", session, Template(data(PRIVATE)), Cell())
    return name, stand.labelled(session)


@sessions.case("SE-33", "5.6.10", "C_Logout leaves public session objects alone.", "1, OK")
def _se_33(stand: Stand) -> tuple[int | str, ...]:
    session = stand.session()
    handle = stand.create(session, data())
    stand.enter(session)
    stand.must("Logout", session)
    return stand.labelled(session), stand.attributes(session, handle, CKA.VALUE)[0]


@sessions.case(
    "SE-34",
    "5.6.10",
    "After the logout every session of the application is public.",
    "OK, 0, 2",
)
def _se_34(stand: Stand) -> tuple[str | int, ...]:
    read_only, read_write = stand.session(write=False), stand.session()
    stand.enter(read_only)
    name = stand.rv("Logout", read_write)
    return name, stand.state(read_only), stand.state(read_write)
