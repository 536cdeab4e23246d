"""General-purpose functions (PKCS#11 3.2 §5.4): GP."""

from collections.abc import Callable
from typing import Any

from ukey_harness.cases.case import Section
from ukey_harness.cases.pkcs11.every import answers
from ukey_harness.cases.pkcs11.needs import version
from ukey_harness.cases.pkcs11.stand import Stand
from ukey_harness.cryptoki.abi import FUNCTIONS_2_40, LISTS
from ukey_harness.cryptoki.arguments import Cell
from ukey_harness.cryptoki.names import (
    CKF_DONT_BLOCK,
    CKF_LIBRARY_CANT_CREATE_OS_THREADS,
    CKF_OS_LOCKING_OK,
    CKF_SERIAL_SESSION,
    NOBODY,
)
from ukey_harness.cryptoki.returns import return_name

general = Section("PKCS#11 3.2", "General-purpose functions")

VERSION_3 = version(3, 0)
MOST_INTERFACES = 1000  # no module has more


def exported(stand: Stand, function: str, *arguments: Any) -> str:  # noqa: ANN401 - C values
    """Call a function by its exported symbol, as programs do before they have a table."""
    symbol = getattr(stand.module.library, function)
    null = stand.module.ffi.NULL
    code = int(symbol(*[null if each is None else each for each in arguments]))
    return return_name(code).removeprefix("CKR_")


def arguments(stand: Stand, flags: int = 0) -> Any:  # noqa: ANN401 - a C struct
    """Return CK_C_INITIALIZE_ARGS with those flags and nothing else."""
    made = stand.module.ffi.new("CK_C_INITIALIZE_ARGS *")
    made.flags = flags
    return made


def works(stand: Stand, name: str) -> str:
    """Return the name of what C_Initialize returned; after an OK, see that the library answers."""
    if name != "OK":
        return name
    answer = stand.rv("GetSlotList", 0, None, Cell())
    ended = stand.rv("Finalize", None)
    return "OK" if (answer, ended) == ("OK", "OK") else f"OK then {answer} and {ended}"


@general.case(
    "GP-01",
    "5.4.4",
    "C_GetFunctionList may be called before C_Initialize and gives a table that bears a version.",
    "OK, versioned, same table",
)
def _gp_01(stand: Stand) -> tuple[str, ...]:
    ffi = stand.module.ffi
    tables = ffi.new("CK_FUNCTION_LIST *[2]")
    names = [exported(stand, "C_GetFunctionList", tables + index) for index in range(2)]
    if tables[0] == ffi.NULL:
        return (*names, "no table")
    bears = tables[0].version
    plausible = bears.major in {2, 3} and bears.minor <= 99  # noqa: PLR2004 - what versions look like
    return (
        names[0] if names[0] == names[1] else " then ".join(names),
        "versioned" if plausible else f"version {bears.major}.{bears.minor}",
        "same table" if tables[0] == tables[1] else "another table",
    )


@general.case(
    "GP-02",
    "5.4.4",
    "C_GetFunctionList refuses a NULL pointer for its answer.",
    "ARGUMENTS_BAD",
)
def _gp_02(stand: Stand) -> str:
    return exported(stand, "C_GetFunctionList", None)


@general.case(
    "GP-03",
    "3.6",
    "Every entry of every function table can be called: what is not supported is a stub that says "
    "so.",
    "no entry is NULL, each answers",
)
def _gp_03(stand: Stand) -> tuple[str, str]:
    ffi = stand.module.ffi
    missing = [name for name in FUNCTIONS_2_40 if not stand.module.has(name)]
    newest = stand.module.version
    if newest[0] > 2:  # noqa: PLR2004 - 3.x
        table = stand.module.interface(*newest)
        functions = LISTS[newest][1]
        missing += [
            name
            for name in functions
            if table is not None and getattr(table, f"C_{name}") == ffi.NULL
        ]
    told = "no entry is NULL" if not missing else f"NULL: {' '.join(sorted(set(missing)))}"
    stand.initialize()
    rare = ("SignRecover", "VerifyRecover", "DigestEncryptUpdate", "DecryptVerifyUpdate")
    answers = {
        stand.rv(name, NOBODY, b"data", None, Cell()) for name in rare if name not in missing
    }
    odd = answers - {
        "FUNCTION_NOT_SUPPORTED",
        "SESSION_HANDLE_INVALID",
        "OPERATION_NOT_INITIALIZED",
    }
    return told, " and ".join(sorted(odd)) or "each answers"


@general.case(
    "GP-04",
    "5.4.1",
    "A second C_Initialize in the same process fails, and the first one stays in force.",
    "OK, CRYPTOKI_ALREADY_INITIALIZED, OK",
)
def _gp_04(stand: Stand) -> tuple[str, ...]:
    return (
        stand.rv("Initialize", None),
        stand.rv("Initialize", None),
        stand.rv("GetSlotList", 0, None, Cell()),
    )


@general.case(
    "GP-05",
    "5.4.1",
    "C_Initialize refuses arguments whose pReserved is not NULL, and does not initialise.",
    "ARGUMENTS_BAD, CRYPTOKI_NOT_INITIALIZED",
)
def _gp_05(stand: Stand) -> tuple[str, ...]:
    given = arguments(stand, CKF_OS_LOCKING_OK)
    given.pReserved = stand.module.ffi.cast("void *", given)
    return stand.rv("Initialize", given), _get_info(stand)


def _get_info(stand: Stand) -> str:
    return stand.rv("GetInfo", stand.module.ffi.new("CK_INFO *"))


@general.case(
    "GP-06",
    "5.4.1",
    "C_Initialize refuses some of the four mutex functions without the others.",
    "ARGUMENTS_BAD, ARGUMENTS_BAD, ARGUMENTS_BAD, ARGUMENTS_BAD, CRYPTOKI_NOT_INITIALIZED",
)
def _gp_06(stand: Stand) -> tuple[str, ...]:
    names = ("CreateMutex", "DestroyMutex", "LockMutex", "UnlockMutex")
    _, pointers = mutexes(stand)
    seen = []
    for given in (names[:1], names[2:3], (names[0], *names[2:]), names[:3]):
        structure = arguments(stand)
        for name in given:
            setattr(structure, name, pointers[name])
        seen.append(stand.rv("Initialize", structure))
        if seen[-1] == "OK":
            stand.rv("Finalize", None)
    return (*seen, _get_info(stand))


def mutexes(stand: Stand) -> tuple[dict[str, int], dict[str, Any]]:
    """Return four mutex functions of ours as pointers, with counters of how often each was called.

    They only count: the case that uses them has one thread.
    """
    ffi = stand.module.ffi
    counts = dict.fromkeys(("CreateMutex", "DestroyMutex", "LockMutex", "UnlockMutex"), 0)
    kept: list[Any] = []

    def counting(name: str) -> Callable[..., int]:
        def count(mutex: Any) -> int:  # noqa: ANN401 - a C pointer
            counts[name] += 1
            if name == "CreateMutex":
                kept.append(ffi.new("CK_ULONG *"))
                mutex[0] = ffi.cast("void *", kept[-1])
            return 0

        return count

    made = {}
    for name in counts:
        kind = "CK_CREATEMUTEX" if name == "CreateMutex" else "CK_MUTEXCALL"
        callback = ffi.callback(kind, counting(name))
        kept.append(callback)
        made[name] = ffi.cast("void *", callback)
    stand.keep(kept)
    return counts, made


@general.case(
    "GP-07",
    "5.4.1",
    "With CKF_OS_LOCKING_OK and no mutex functions the library uses the system's locks, or says "
    "that it cannot.",
    "OK",
    allow=("CANT_LOCK",),
)
def _gp_07(stand: Stand) -> str:
    return works(stand, stand.rv("Initialize", arguments(stand, CKF_OS_LOCKING_OK)))


@general.case(
    "GP-08",
    "5.4.1",
    "With four mutex functions and no CKF_OS_LOCKING_OK the library uses them, or says that it "
    "cannot lock.",
    "OK, locks with them",
    allow=("OK, locks without them", "CANT_LOCK, locks without them"),
)
def _gp_08(stand: Stand) -> tuple[str, str]:
    # A library that needs no lock in one thread may leave them alone.
    counts, pointers = mutexes(stand)
    structure = arguments(stand)
    for name, pointer in pointers.items():
        setattr(structure, name, pointer)
    answer = works(stand, stand.rv("Initialize", structure))
    if (
        counts["LockMutex"] != counts["UnlockMutex"]
        or counts["CreateMutex"] < counts["DestroyMutex"]
    ):
        return answer, f"uneven: {counts}"
    return answer, "locks with them" if counts["CreateMutex"] else "locks without them"


@general.case(
    "GP-09",
    "5.1.6",
    "Before C_Initialize every function but those that give tables says so.",
    "CRYPTOKI_NOT_INITIALIZED",
)
def _gp_09(stand: Stand) -> str:
    wanted, new = "CRYPTOKI_NOT_INITIALIZED", stand.module.ffi.new
    names = {
        "GetInfo": _get_info(stand),
        "GetSlotList": stand.rv("GetSlotList", 0, None, Cell()),
        "GetSlotInfo": stand.rv("GetSlotInfo", 0, new("CK_SLOT_INFO *")),
        "GetTokenInfo": stand.rv("GetTokenInfo", 0, new("CK_TOKEN_INFO *")),
        "GetMechanismList": stand.rv("GetMechanismList", 0, None, Cell()),
        "GetMechanismInfo": stand.rv("GetMechanismInfo", 0, 0, new("CK_MECHANISM_INFO *")),
        "OpenSession": stand.rv("OpenSession", 0, CKF_SERIAL_SESSION, None, None, Cell()),
        "CloseAllSessions": stand.rv("CloseAllSessions", 0),
        "WaitForSlotEvent": stand.rv("WaitForSlotEvent", CKF_DONT_BLOCK, Cell(), None),
    }
    odd = [f"C_{function} {name}" for function, name in names.items() if name != wanted]
    others = answers(stand, 1, wanted, b"000000")
    return "; ".join([*odd, *([] if others == wanted else [others])]) or wanted


@general.case(
    "GP-10",
    "5.4.2",
    "C_Finalize refuses an argument other than NULL, and the library stays initialised.",
    "ARGUMENTS_BAD, OK",
)
def _gp_10(stand: Stand) -> tuple[str, str]:
    stand.initialize()
    something = stand.module.ffi.new("CK_ULONG *")
    return stand.rv("Finalize", something), _get_info(stand)


@general.case(
    "GP-11",
    "5.4.2",
    "C_Finalize without C_Initialize says so, at first and after another C_Finalize.",
    "CRYPTOKI_NOT_INITIALIZED, OK, CRYPTOKI_NOT_INITIALIZED",
)
def _gp_11(stand: Stand) -> tuple[str, ...]:
    first = stand.rv("Finalize", None)
    stand.initialize()
    return first, stand.rv("Finalize", None), stand.rv("Finalize", None)


@general.case("GP-12", "5.4.3", "C_GetInfo refuses a NULL pointer.", "ARGUMENTS_BAD")
def _gp_12(stand: Stand) -> str:
    stand.initialize()
    return stand.rv("GetInfo", None)


@general.case(
    "GP-13",
    "3.1",
    "The texts of CK_INFO are padded with blanks, without any NUL, and its flags are 0.",
    "padded, 0",
)
def _gp_13(stand: Stand) -> tuple[str, int]:
    stand.initialize()
    info = stand.structure("GetInfo", "CK_INFO")
    return padding(
        manufacturerID=info.manufacturerID, libraryDescription=info.libraryDescription
    ), int(info.flags)


def padding(**fields: Any) -> str:  # noqa: ANN401 - C arrays
    """Return "padded", or which field is not text padded with blanks."""
    for name, field in fields.items():
        content = bytes(field)
        if b"\0" in content:
            return f"{name} holds a NUL"
        try:
            content.decode()
        except UnicodeDecodeError:
            return f"{name} is not UTF-8"
    return "padded"


@general.case(
    "GP-14",
    "5.4.3",
    "The cryptokiVersion of CK_INFO is that of an interface which the module gives.",
    "same",
)
def _gp_14(stand: Stand) -> str:
    stand.initialize()
    bears = stand.structure("GetInfo", "CK_INFO").cryptokiVersion
    told = (int(bears.major), int(bears.minor))
    given = {stand.module.table_version, ".".join(map(str, stand.module.version))}
    for each in LISTS:
        if each[0] > 2 and stand.module.interface(*each) is not None:  # noqa: PLR2004 - 3.x
            given.add(".".join(map(str, each)))
    text = ".".join(map(str, told))
    return "same" if text in given else f"{text}, but the tables bear {' '.join(sorted(given))}"


@general.case(
    "GP-15",
    "5.4.2",
    "After C_Finalize the library can be initialised again, and handles of old sessions are dead.",
    "OK, OK, SESSION_HANDLE_INVALID",
)
def _gp_15(stand: Stand) -> tuple[str, ...]:
    session = stand.session()
    first = stand.rv("Finalize", None)
    again = stand.rv("Initialize", arguments(stand, CKF_OS_LOCKING_OK))
    info = stand.module.ffi.new("CK_SESSION_INFO *")
    return first, again, stand.rv("GetSessionInfo", session, info)


@general.case(
    "GP-16",
    "5.4.5",
    "C_GetInterfaceList gives the count for a NULL list, and says when a list is too short.",
    "OK, BUFFER_TOO_SMALL, same count, OK, all named",
    needs=(VERSION_3,),
)
def _gp_16(stand: Stand) -> tuple[str, ...]:
    ffi = stand.module.ffi
    count = Cell()
    first = exported(stand, "C_GetInterfaceList", None, count.parts[0])
    if not 0 < count.value < MOST_INTERFACES:
        return first, f"{count.value} interfaces"
    room = ffi.new("CK_INTERFACE[]", count.value + 1)
    short = Cell(count.value - 1)
    second = exported(stand, "C_GetInterfaceList", room, short.parts[0])
    enough = Cell(count.value)
    third = exported(stand, "C_GetInterfaceList", room, enough.parts[0])
    named = all(
        room[index].pInterfaceName != ffi.NULL and room[index].pFunctionList != ffi.NULL
        for index in range(count.value)
    )
    same = "same count" if short.value == count.value == enough.value else "another count"
    return first, second, same, third, "all named" if named and count.value else "an empty entry"


@general.case(
    "GP-17",
    "5.4.6",
    "C_GetInterface gives a default interface for no name, and fails for an unknown name.",
    "OK, an interface, refused, ARGUMENTS_BAD",
    needs=(VERSION_3,),
)
def _gp_17(stand: Stand) -> tuple[str, ...]:
    ffi = stand.module.ffi
    found = ffi.new("CK_INTERFACE **")
    first = exported(stand, "C_GetInterface", None, None, found, 0)
    is_there = found[0] != ffi.NULL and found[0].pFunctionList != ffi.NULL
    other = exported(stand, "C_GetInterface", b"Vendor nobody", None, found, 0)
    return (
        first,
        "an interface" if first == "OK" and is_there else "no interface",
        "refused" if other in {"ARGUMENTS_BAD", "FUNCTION_FAILED"} else other,
        exported(stand, "C_GetInterface", None, None, None, 0),
    )


@general.case(
    "GP-18",
    "5.4.6",
    'C_GetInterface gives for "PKCS 11" 3.0 a table whose version is 3.0.',
    "OK, PKCS 11, 3.0",
    needs=(VERSION_3,),
)
def _gp_18(stand: Stand) -> tuple[str, ...]:
    return interface_of(stand, 3, 0)


def interface_of(stand: Stand, major: int, minor: int, flags: int = 0) -> tuple[str, ...]:
    """Ask for "PKCS 11" in a version; return what came, its name and its table's version."""
    ffi = stand.module.ffi
    found = ffi.new("CK_INTERFACE **")
    wanted = ffi.new("CK_VERSION *", [major, minor])
    name = exported(stand, "C_GetInterface", b"PKCS 11", wanted, found, flags)
    if name != "OK" or found[0] == ffi.NULL:
        return (name,)
    if ffi.NULL in {found[0].pFunctionList, found[0].pInterfaceName}:
        return name, "an empty entry"
    bears = ffi.cast("CK_VERSION *", found[0].pFunctionList)
    told = ffi.string(ffi.cast("char *", found[0].pInterfaceName)).decode(errors="replace")
    return name, told, f"{bears.major}.{bears.minor}"


@general.case(
    "GP-19",
    "5.4.1",
    "CKF_LIBRARY_CANT_CREATE_OS_THREADS is honoured, or refused with the code made for it.",
    "OK",
    allow=("NEED_TO_CREATE_THREADS",),
)
def _gp_19(stand: Stand) -> str:
    flags = CKF_LIBRARY_CANT_CREATE_OS_THREADS | CKF_OS_LOCKING_OK
    return works(stand, stand.rv("Initialize", arguments(stand, flags)))


@general.case(
    "GP-20",
    "5.4.4",
    "The table of C_GetFunctionList bears version 2.x, unless a module gives C_GetInterface too.",
    "consistent",
)
def _gp_20(stand: Stand) -> str:
    bears = stand.module.table_version
    if bears.startswith("2."):
        return "consistent"
    if not stand.module.has_interfaces:
        return f"version {bears} without C_GetInterface"
    major, minor = (int(each) for each in bears.split("."))
    return "consistent" if stand.module.interface(major, minor) is not None else f"no such {bears}"


@general.case(
    "GP-21",
    "5.1.6",
    "Before C_Initialize every function of 3.0 and 3.2 says so, or is not supported.",
    "CRYPTOKI_NOT_INITIALIZED",
    needs=(VERSION_3,),
)
def _gp_21(stand: Stand) -> str:
    return answers(stand, 1, "CRYPTOKI_NOT_INITIALIZED", b"000000", newer=True)
