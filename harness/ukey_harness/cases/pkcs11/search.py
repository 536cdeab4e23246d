"""Finding objects (PKCS#11 3.2 §5.7.7 to §5.7.9): FI-01 to FI-12."""

from ukey_harness.cases.case import Section
from ukey_harness.cases.pkcs11.keys import data
from ukey_harness.cases.pkcs11.needs import mechanism
from ukey_harness.cases.pkcs11.stand import MARK, Stand, number
from ukey_harness.cryptoki.arguments import Cell, Mechanism, Template
from ukey_harness.cryptoki.names import CKA, CKF, CKM, CKO

search = Section("PKCS#11 3.2", "Search")

BOGUS = 0x7FFF_FFF0
BATCH = 2


def begun(stand: Stand, session: int, pairs: dict[int, str | bytes | int | bool]) -> str:
    """C_FindObjectsInit."""
    return stand.rv("FindObjectsInit", session, Template(pairs))


@search.case("FI-01", "5.7.8", "C_FindObjects wants a search.", "OPERATION_NOT_INITIALIZED")
def _fi_01(stand: Stand) -> str:
    handles = stand.module.ffi.new("CK_ULONG[4]")
    return stand.rv("FindObjects", stand.session(), handles, 4, Cell())


@search.case(
    "FI-02",
    "5.7.7",
    "A session has one search at a time, and the first one goes on.",
    "OK, OPERATION_ACTIVE, 1",
)
def _fi_02(stand: Stand) -> tuple[str | int, ...]:
    session = stand.session()
    stand.create(session, data())
    names = begun(stand, session, {CKA.LABEL: MARK}), begun(stand, session, {CKA.LABEL: "other"})
    return *names, len(stand.next_found(session, 4))


@search.case(
    "FI-03",
    "5.7.9",
    "C_FindObjectsFinal wants a search, and ends it.",
    "OPERATION_NOT_INITIALIZED, OK, OPERATION_NOT_INITIALIZED",
)
def _fi_03(stand: Stand) -> tuple[str, ...]:
    session = stand.session()
    first = stand.rv("FindObjectsFinal", session)
    stand.must("FindObjectsInit", session, Template())
    return first, stand.rv("FindObjectsFinal", session), stand.rv("FindObjectsFinal", session)


@search.case(
    "FI-04",
    "5.7.8",
    "A search gives its objects in batches of the size that is asked for, then none.",
    "2, 2, 1, 0, 5 distinct",
)
def _fi_04(stand: Stand) -> tuple[int | str, ...]:
    session = stand.session()
    made = {stand.create(session, data()) for _ in range(5)}
    stand.must("FindObjectsInit", session, Template({CKA.LABEL: MARK}))
    batches = [stand.next_found(session, BATCH) for _ in range(4)]
    found = {handle for batch in batches for handle in batch}
    told = "5 distinct" if found == made else f"{len(found & made)} of 5"
    return *(len(batch) for batch in batches), told


@search.case(
    "FI-05",
    "5.7.7",
    "A public session finds no private object, even if it asks for private ones.",
    "0, 0, 1",
)
def _fi_05(stand: Stand) -> tuple[int, ...]:
    session = stand.user()
    handle = stand.create(session, data({CKA.TOKEN: True, CKA.PRIVATE: True}))
    stand.must("Logout", session)
    hidden = len(stand.find(session, {CKA.PRIVATE: True, CKA.LABEL: MARK})), stand.labelled(session)
    del handle
    stand.enter(session)
    found = stand.find(session, {CKA.PRIVATE: True, CKA.LABEL: MARK})
    for each in found:
        stand.rv("DestroyObject", session, each)
    return *hidden, len(found)


@search.case(
    "FI-06",
    "5.7.7",
    "A search matches whole values byte by byte, and all attributes of its template.",
    "0, 0, 0, 1",
)
def _fi_06(stand: Stand) -> tuple[int, ...]:
    session = stand.session()
    stand.create(session, data({CKA.LABEL: "abc"}))
    wanted: tuple[dict[int, str | bytes | int], ...] = (
        {CKA.LABEL: "ab"},
        {CKA.LABEL: "ABC"},
        {CKA.LABEL: "abc", CKA.VALUE: b"other"},
        {CKA.LABEL: "abc", CKA.CLASS: CKO.DATA},
    )
    return tuple(len(stand.find(session, each)) for each in wanted)


@search.case(
    "FI-07",
    "5.7.8",
    "C_FindObjects refuses NULL for its handles and for their count.",
    "ARGUMENTS_BAD, ARGUMENTS_BAD",
)
def _fi_07(stand: Stand) -> tuple[str, str]:
    session = stand.session()
    stand.must("FindObjectsInit", session, Template())
    first = stand.rv("FindObjects", session, None, 4, Cell())
    stand.rv("FindObjectsFinal", session)
    stand.must("FindObjectsInit", session, Template())
    handles = stand.module.ffi.new("CK_ULONG[4]")
    return first, stand.rv("FindObjects", session, handles, 4, None)


@search.case(
    "FI-08",
    "5.1.6",
    "A search may keep a cryptographic operation from beginning, and goes on in any case.",
    "OPERATION_ACTIVE, 1",
    allow=("OK, 1",),
    needs=(mechanism(CKM.SHA256, use=CKF.DIGEST),),
)
def _fi_08(stand: Stand) -> tuple[str | int, ...]:
    session = stand.session()
    stand.create(session, data())
    stand.must("FindObjectsInit", session, Template({CKA.LABEL: MARK}))
    name = stand.rv("DigestInit", session, Mechanism(CKM.SHA256))
    return name, len(stand.next_found(session, 4))


@search.case(
    "FI-09",
    "5.7.7",
    "A search for an attribute that does not exist finds nothing, or is refused.",
    "OK, 0",
    allow=("ATTRIBUTE_TYPE_INVALID",),
)
def _fi_09(stand: Stand) -> tuple[str | int, ...]:
    session = stand.session()
    stand.create(session, data())
    name = begun(stand, session, {BOGUS: b"x"})
    return (name, len(stand.next_found(session, 4))) if name == "OK" else (name,)


@search.case(
    "FI-10",
    "5.7.7",
    "An object that another session destroys during a search may be found or not, and is gone.",
    "gone",
)
def _fi_10(stand: Stand) -> str:
    first, second = stand.session(), stand.session()
    handles = [stand.create(second, data()) for _ in range(3)]
    stand.must("FindObjectsInit", first, Template({CKA.LABEL: MARK}))
    for handle in handles[:2]:
        stand.must("DestroyObject", second, handle)
    found = stand.next_found(first, 10)
    stand.must("FindObjectsFinal", first)
    if handles[2] not in found:
        return "the object that stayed was not found"
    if len(set(found)) != len(found) or not set(found) <= set(handles):
        return f"{len(found)} handles, not all of them of these objects"
    names = {stand.attributes(first, each, CKA.LABEL)[0] for each in handles[:2]}
    stays = stand.attributes(first, handles[2], CKA.LABEL)[0]
    return "gone" if (names, stays) == ({"OBJECT_HANDLE_INVALID"}, "OK") else f"{names}, {stays}"


@search.case(
    "FI-11",
    "5.7.7",
    "An empty template finds token objects and session objects.",
    "both, distinct",
)
def _fi_11(stand: Stand) -> tuple[str, str]:
    session = stand.user()
    kept = stand.create(session, data({CKA.TOKEN: True}))
    passing = stand.create(session, data())
    found = stand.find(session)
    stand.rv("DestroyObject", session, kept)
    return (
        "both" if {kept, passing} <= set(found) else f"{len({kept, passing} & set(found))} of them",
        "distinct" if len(set(found)) == len(found) else "one twice",
    )


@search.case(
    "FI-12",
    "4.3.1",
    "Hardware features are found only by those who ask for that class.",
    "none unasked",
)
def _fi_12(stand: Stand) -> str:
    session = stand.session(write=False)
    stand.create(session, data())
    classes = {number(stand.attribute(session, each, CKA.CLASS)) for each in stand.find(session)}
    if CKO.HW_FEATURE in classes:
        return "a hardware feature"
    return "none unasked" if CKO.DATA in classes else "not even what is there"
