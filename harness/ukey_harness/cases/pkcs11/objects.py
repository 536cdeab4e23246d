"""Making, copying and destroying objects (PKCS#11 3.2 §4.1, §5.7.1 to §5.7.4): OB, first part."""

from ukey_harness.cases.case import Section
from ukey_harness.cases.pkcs11.keys import (
    More,
    aes,
    certificate,
    data,
    ec_templates,
    imported_aes,
)
from ukey_harness.cases.pkcs11.needs import mechanism, version
from ukey_harness.cases.pkcs11.stand import MARK, Stand, truth
from ukey_harness.cryptoki.arguments import Cell, Pairs, Template
from ukey_harness.cryptoki.names import CKA, CKF, CKK, CKM, CKO, NOBODY

objects = Section("PKCS#11 3.2", "Objects")

AES = mechanism(CKM.AES_KEY_GEN, use=CKF.GENERATE)
BOGUS = 0x7FFF_FFF0  # an attribute that neither the standard nor a vendor has
KEPT: More = {CKA.TOKEN: True}


def created(stand: Stand, session: int, pairs: Pairs) -> str:
    """C_CreateObject; return its name."""
    return stand.rv("CreateObject", session, Template(pairs), Cell())


def copied(stand: Stand, session: int, source: int, pairs: Pairs) -> tuple[str, int]:
    """C_CopyObject; return its name and the copy's handle."""
    cell = Cell()
    return stand.rv("CopyObject", session, source, Template(pairs), cell), cell.value


def without(pairs: More, *kinds: int) -> More:
    """Return a template without these attributes."""
    return {kind: value for kind, value in pairs.items() if kind not in kinds}


@objects.case(
    "OB-01", "5.7.1", "A public session object can be made in a public read-only session.", "OK, 1"
)
def _ob_01(stand: Stand) -> tuple[str | int, ...]:
    session = stand.session(write=False)
    return created(stand, session, data()), stand.labelled(session)


@objects.case(
    "OB-02",
    "5.7.1",
    "No token object can be made in a read-only session.",
    "SESSION_READ_ONLY, 0",
)
def _ob_02(stand: Stand) -> tuple[str | int, ...]:
    session = stand.user(write=False)
    return created(stand, session, data(KEPT)), stand.labelled(session)


@objects.case(
    "OB-03",
    "5.7.1",
    "No private object can be made without the user's login: not on the token, not in the session.",
    "USER_NOT_LOGGED_IN, USER_NOT_LOGGED_IN, 0",
)
def _ob_03(stand: Stand) -> tuple[str | int, ...]:
    session = stand.session()
    private: More = {CKA.PRIVATE: True}
    names = created(stand, session, data(private)), created(stand, session, data(private | KEPT))
    stand.enter(session)
    return *names, stand.labelled(session)


@objects.case("OB-04", "4.1.1", "A template without a class is incomplete.", "TEMPLATE_INCOMPLETE")
def _ob_04(stand: Stand) -> str:
    return created(stand, stand.session(), without(data(), CKA.CLASS))


@objects.case(
    "OB-05",
    "4.1.1",
    "An attribute that does not exist is refused.",
    "ATTRIBUTE_TYPE_INVALID",
)
def _ob_05(stand: Stand) -> str:
    return created(stand, stand.session(), data({BOGUS: b"x"}))


@objects.case(
    "OB-06",
    "4.1.1",
    "A truth attribute that is not one byte long is refused.",
    "ATTRIBUTE_VALUE_INVALID",
)
def _ob_06(stand: Stand) -> str:
    return created(stand, stand.user(), data({CKA.TOKEN: bytes(8)}))


@objects.case(
    "OB-07",
    "4.1.1",
    "CKA_LOCAL cannot be given when a key is created.",
    "ATTRIBUTE_READ_ONLY",
    allow=("ATTRIBUTE_TYPE_INVALID | TEMPLATE_INCONSISTENT",),
)
def _ob_07(stand: Stand) -> str:
    return created(stand, stand.user(), imported_aes({CKA.LOCAL: True}))


@objects.case(
    "OB-08",
    "4.2.2",
    "CKA_UNIQUE_ID cannot be given when an object is created.",
    "ATTRIBUTE_READ_ONLY, 0",
    needs=(version(3, 0),),
)
def _ob_08(stand: Stand) -> tuple[str | int, ...]:
    session = stand.session()
    return created(stand, session, data({CKA.UNIQUE_ID: "mine"})), stand.labelled(session)


@objects.case(
    "OB-09",
    "4.1.1",
    "Two values for one attribute contradict each other.",
    "TEMPLATE_INCONSISTENT",
)
def _ob_09(stand: Stand) -> str:
    pairs = [*without(data(), CKA.LABEL).items(), (CKA.LABEL, "one"), (CKA.LABEL, "two")]
    return created(stand, stand.session(), pairs)


@objects.case(
    "OB-10",
    "4.1.1",
    "A secret key has no modulus.",
    "TEMPLATE_INCONSISTENT",
    allow=("ATTRIBUTE_TYPE_INVALID",),
)
def _ob_10(stand: Stand) -> str:
    return created(stand, stand.user(), imported_aes({CKA.MODULUS: bytes(128)}))


@objects.case("OB-11", "5.7.1", "C_CreateObject refuses a NULL handle.", "ARGUMENTS_BAD, 0")
def _ob_11(stand: Stand) -> tuple[str | int, ...]:
    session = stand.session()
    name = stand.rv("CreateObject", session, Template(data()), None)
    return name, stand.labelled(session)


@objects.case(
    "OB-12",
    "5.7.1",
    "A key that was brought to the token is not local, was not always sensitive and was "
    "extractable once, whatever its template says.",
    "no, no, no",
)
def _ob_12(stand: Stand) -> tuple[str, ...]:
    session = stand.user()
    key = stand.create(session, imported_aes({CKA.SENSITIVE: True, CKA.EXTRACTABLE: False}))
    return stand.truths(session, key, CKA.LOCAL, CKA.ALWAYS_SENSITIVE, CKA.NEVER_EXTRACTABLE)


@objects.case(
    "OB-13",
    "4.4",
    "Without a word in the template an object is no token object, and can be modified, copied and "
    "destroyed.",
    "no, yes, yes, yes",
)
def _ob_13(stand: Stand) -> tuple[str, ...]:
    session = stand.session()
    handle = stand.create(session, without(data(), CKA.TOKEN))
    kinds = CKA.TOKEN, CKA.MODIFIABLE, CKA.COPYABLE, CKA.DESTROYABLE
    return stand.truths(session, handle, *kinds)


@objects.case(
    "OB-14", "6.1.2", "An RSA public key without its modulus is incomplete.", "TEMPLATE_INCOMPLETE"
)
def _ob_14(stand: Stand) -> str:
    pairs: More = {
        CKA.CLASS: CKO.PUBLIC_KEY,
        CKA.KEY_TYPE: CKK.RSA,
        CKA.PRIVATE: False,
        CKA.PUBLIC_EXPONENT: b"\1\0\1",
    }
    return created(stand, stand.user(), pairs)


@objects.case(
    "OB-15",
    "5.7.1",
    "A creation that fails leaves no object behind.",
    "refused, 0",
)
def _ob_15(stand: Stand) -> tuple[str | int, ...]:
    session = stand.session()
    name = created(stand, session, data({BOGUS: b"x"}))
    return "refused" if name != "OK" else name, stand.labelled(session)


@objects.case(
    "OB-16",
    "5.7.2",
    "A session object can be copied to the token, with another label.",
    "OK, yes, new label, same value, 1",
)
def _ob_16(stand: Stand) -> tuple[str | int, ...]:
    session = stand.user()
    source = stand.create(session, data())
    name, copy = copied(stand, session, source, {CKA.TOKEN: True, CKA.LABEL: "ukeylab-case copy"})
    if name != "OK":
        return (name,)
    values = stand.attributes(session, copy, CKA.TOKEN, CKA.LABEL, CKA.VALUE)[1]
    seen = (
        name,
        truth(values[0]),
        "new label" if values[1] == b"ukeylab-case copy" else "another label",
        "same value" if values[2] == data()[CKA.VALUE] else "another value",
        stand.labelled(session),
    )
    stand.must("DestroyObject", session, copy)
    return seen


@objects.case(
    "OB-17",
    "5.7.2",
    "An object that is not copyable is not copied.",
    "ACTION_PROHIBITED, 1",
)
def _ob_17(stand: Stand) -> tuple[str | int, ...]:
    session = stand.session()
    source = stand.create(session, data({CKA.COPYABLE: False}))
    name, _ = copied(stand, session, source, {CKA.APPLICATION: "x"})
    return name, stand.labelled(session)


@objects.case(
    "OB-18",
    "5.7.2",
    "A copy of a sensitive key cannot be made less sensitive.",
    "ATTRIBUTE_READ_ONLY, 1",
    allow=("TEMPLATE_INCONSISTENT, 1",),
    needs=(AES,),
)
def _ob_18(stand: Stand) -> tuple[str | int, ...]:
    session = stand.user()
    source = aes(stand, session, {CKA.SENSITIVE: True})
    name, _ = copied(stand, session, source, {CKA.SENSITIVE: False})
    return name, stand.labelled(session)


@objects.case(
    "OB-19",
    "5.7.2",
    "A copy of a key that is not extractable cannot be made extractable.",
    "ATTRIBUTE_READ_ONLY, 1",
    allow=("TEMPLATE_INCONSISTENT, 1",),
    needs=(AES,),
)
def _ob_19(stand: Stand) -> tuple[str | int, ...]:
    session = stand.user()
    source = aes(stand, session, {CKA.EXTRACTABLE: False})
    name, _ = copied(stand, session, source, {CKA.EXTRACTABLE: True})
    return name, stand.labelled(session)


@objects.case(
    "OB-20",
    "5.7.2",
    "No copy is put onto the token in a read-only session.",
    "SESSION_READ_ONLY, 1",
)
def _ob_20(stand: Stand) -> tuple[str | int, ...]:
    session = stand.user(write=False)
    source = stand.create(session, data())
    return copied(stand, session, source, KEPT)[0], stand.labelled(session)


@objects.case(
    "OB-21",
    "5.7.2",
    "A copy that is made sensitive keeps the source's word on whether it always was.",
    "OK, yes, no",
    needs=(AES,),
)
def _ob_21(stand: Stand) -> tuple[str, ...]:
    session = stand.user()
    source = aes(stand, session)
    name, copy = copied(stand, session, source, {CKA.SENSITIVE: True})
    if name != "OK":
        return (name,)
    return name, *stand.truths(session, copy, CKA.SENSITIVE, CKA.ALWAYS_SENSITIVE)


@objects.case(
    "OB-22",
    "4.1.3",
    "The value of a data object can be changed while it is copied; a token may refuse that.",
    "OK, new, old",
    allow=("ATTRIBUTE_READ_ONLY",),
)
def _ob_22(stand: Stand) -> tuple[str, ...]:
    session = stand.session()
    source = stand.create(session, data({CKA.VALUE: b"old"}))
    name, copy = copied(stand, session, source, {CKA.VALUE: b"new"})
    if name != "OK":
        return (name,)
    values = (stand.attribute(session, each, CKA.VALUE) for each in (copy, source))
    return name, *(each.decode() if each in {b"new", b"old"} else "another" for each in values)


@objects.case(
    "OB-23",
    "5.7.3",
    "An object is destroyed once; handles that are none are refused.",
    "OBJECT_HANDLE_INVALID, OK, OBJECT_HANDLE_INVALID, 0",
)
def _ob_23(stand: Stand) -> tuple[str | int, ...]:
    session = stand.session()
    handle = stand.create(session, data())
    return (
        stand.rv("DestroyObject", session, NOBODY),
        stand.rv("DestroyObject", session, handle),
        stand.rv("DestroyObject", session, handle),
        stand.labelled(session),
    )


@objects.case(
    "OB-24",
    "5.7.3",
    "An object that is not destroyable stays.",
    "ACTION_PROHIBITED, 1",
)
def _ob_24(stand: Stand) -> tuple[str | int, ...]:
    session = stand.session()
    handle = stand.create(session, data({CKA.DESTROYABLE: False}))
    return stand.rv("DestroyObject", session, handle), stand.labelled(session)


@objects.case(
    "OB-25",
    "5.7.3",
    "No token object is destroyed in a read-only session.",
    "SESSION_READ_ONLY, 1",
)
def _ob_25(stand: Stand) -> tuple[str | int, ...]:
    session = stand.user()
    handle = stand.create(session, data(KEPT))
    seen = stand.rv("DestroyObject", stand.session(write=False), handle), stand.labelled(session)
    stand.rv("DestroyObject", session, handle)
    return seen


@objects.case(
    "OB-26",
    "5.7.4",
    "C_GetObjectSize gives a size, or says that it is not to be told; it wants an object's handle.",
    "OK, a size, OBJECT_HANDLE_INVALID",
    allow=(
        "OK, unavailable, OBJECT_HANDLE_INVALID",
        "INFORMATION_SENSITIVE, *, OBJECT_HANDLE_INVALID",
    ),
)
def _ob_26(stand: Stand) -> tuple[str, ...]:
    session, size = stand.session(), Cell()
    handle = stand.create(session, data())
    name = stand.rv("GetObjectSize", session, handle, size)
    words = {0: "0", 2**64 - 1: "unavailable"}
    other = stand.rv("GetObjectSize", session, NOBODY, Cell())
    return name, words.get(size.value, "a size"), other


@objects.case(
    "OB-45",
    "5.7.2",
    "A copy may have an empty template: everything stays as it was.",
    "OK, 2",
    allow=("ARGUMENTS_BAD, 1",),
)
def _ob_45(stand: Stand) -> tuple[str | int, ...]:
    session = stand.session()
    source = stand.create(session, data())
    name = stand.rv("CopyObject", session, source, None, 0, Cell())
    return name, stand.labelled(session)


@objects.case(
    "OB-46",
    "4.6.3",
    "A certificate without its value or an address is incomplete.",
    "TEMPLATE_INCOMPLETE",
)
def _ob_46(stand: Stand) -> str:
    return created(stand, stand.user(), without(certificate(), CKA.VALUE))


@objects.case(
    "OB-47",
    "4.6.2",
    "A user cannot say of a certificate that it is trusted.",
    "ATTRIBUTE_READ_ONLY",
    allow=("ATTRIBUTE_VALUE_INVALID | USER_NOT_LOGGED_IN | TEMPLATE_INCONSISTENT",),
)
def _ob_47(stand: Stand) -> str:
    return created(stand, stand.user(), certificate({CKA.TRUSTED: True}))


@objects.case(
    "OB-48",
    "4.6",
    "A public certificate on the token is found and read without a login.",
    "1, OK, same",
)
def _ob_48(stand: Stand) -> tuple[int | str, ...]:
    session = stand.user()
    stand.create(session, certificate(KEPT))
    stand.must("Logout", session)
    found = stand.find(session, {CKA.CLASS: CKO.CERTIFICATE, CKA.LABEL: MARK})
    if not found:
        return 0, "none", "none"
    name, values = stand.attributes(session, found[0], CKA.VALUE)
    same = "same" if values[0] == certificate()[CKA.VALUE] else "another value"
    stand.enter(session)
    stand.rv("DestroyObject", session, found[0])
    return len(found), name, same


@objects.case(
    "OB-49",
    "5.7",
    "An object's handle is good in every session of the application.",
    "OK, same",
)
def _ob_49(stand: Stand) -> tuple[str, str]:
    first, second = stand.session(), stand.session(write=False)
    name, values = stand.attributes(second, stand.create(first, data()), CKA.VALUE)
    return name, "same" if values[0] == data()[CKA.VALUE] else "another value"


@objects.case(
    "OB-51",
    "4.10",
    "A private key whose template does not say is private: the public does not see it.",
    "0, 1",
    needs=(mechanism(CKM.EC_KEY_PAIR_GEN, use=CKF.GENERATE_KEY_PAIR),),
)
def _ob_51(stand: Stand) -> tuple[int, int]:
    session = stand.user()
    public, private = ec_templates({CKA.TOKEN: True}, {CKA.TOKEN: True})
    stand.pair(session, CKM.EC_KEY_PAIR_GEN, public, without(private, CKA.PRIVATE))
    wanted: More = {CKA.CLASS: CKO.PRIVATE_KEY, CKA.LABEL: MARK}
    stand.must("Logout", session)
    hidden = len(stand.find(session, wanted))
    stand.enter(session)
    seen = hidden, len(stand.find(session, wanted))
    for handle in stand.find(session, {CKA.LABEL: MARK}):
        stand.rv("DestroyObject", session, handle)
    return seen


@objects.case(
    "OB-53",
    "5.7.1",
    "A token object whose creation failed is not there after a restart either.",
    "refused, 0, 0",
)
def _ob_53(stand: Stand) -> tuple[str | int, ...]:
    session = stand.user()
    names = (
        created(stand, session, data({BOGUS: b"x", **KEPT})),
        created(stand, session, imported_aes({CKA.MODULUS: bytes(8), **KEPT})),
    )
    before = stand.labelled(session)
    stand.finalize()
    stand.forget_slot()
    after = stand.labelled(stand.user())
    return "refused" if "OK" not in names else " ".join(names), before, after
