"""Reading and changing attributes (PKCS#11 3.2 §4, §5.7.5, §5.7.6): OB, second part."""

from ukey_harness.cases.case import Section
from ukey_harness.cases.pkcs11.keys import (
    More,
    aes,
    aes_template,
    data,
    rsa_templates,
)
from ukey_harness.cases.pkcs11.needs import mechanism, version
from ukey_harness.cases.pkcs11.stand import MARK, Stand, number, truth
from ukey_harness.cryptoki.arguments import Cell, Mechanism, Query, Template
from ukey_harness.cryptoki.names import CKA, CKF, CKK, CKM, CKO, UNAVAILABLE

attributes = Section("PKCS#11 3.2", "Attributes")

AES = mechanism(CKM.AES_KEY_GEN, use=CKF.GENERATE)
RSA = mechanism(CKM.RSA_PKCS_KEY_PAIR_GEN, use=CKF.GENERATE_KEY_PAIR)
BOGUS = 0x7FFF_FFF0


def changed(stand: Stand, session: int, handle: int, pairs: More) -> str:
    """C_SetAttributeValue; return its name."""
    return stand.rv("SetAttributeValue", session, handle, Template(pairs))


def length(value: int) -> str:
    """Return the length that C_GetAttributeValue has written, -1 for CK_UNAVAILABLE_INFORMATION."""
    return "-1" if value == UNAVAILABLE else str(value)


@attributes.case(
    "OB-27",
    "5.7.5",
    "An attribute that the object does not have is told, with length -1, and the others are given.",
    "ATTRIBUTE_TYPE_INVALID, same, -1, same",
)
def _ob_27(stand: Stand) -> tuple[str, ...]:
    session = stand.session()
    handle = stand.create(session, data())
    query = Query([CKA.LABEL, BOGUS, CKA.VALUE])
    name = stand.rv("GetAttributeValue", session, handle, query)
    return (
        name,
        "same" if query.value(0) == MARK.encode() else "not given",
        length(query.length(1)),
        "same" if query.value(2) == data()[CKA.VALUE] else "not given",
    )


@attributes.case(
    "OB-28",
    "5.7.5",
    "The value of a sensitive key is withheld, with length -1, and the other attributes are given.",
    "ATTRIBUTE_SENSITIVE, -1, 4",
    needs=(AES,),
)
def _ob_28(stand: Stand) -> tuple[str | int, ...]:
    return _withheld(stand, {CKA.SENSITIVE: True})


@attributes.case(
    "OB-29",
    "5.7.5",
    "The value of a key that is not extractable is withheld as well, though it is not sensitive.",
    "ATTRIBUTE_SENSITIVE, -1, 4",
    needs=(AES,),
)
def _ob_29(stand: Stand) -> tuple[str | int, ...]:
    return _withheld(stand, {CKA.SENSITIVE: False, CKA.EXTRACTABLE: False})


def _withheld(stand: Stand, more: More) -> tuple[str | int, ...]:
    session = stand.user()
    query = Query([CKA.VALUE, CKA.CLASS])
    name = stand.rv("GetAttributeValue", session, aes(stand, session, more), query)
    return name, length(query.length(0)), str(number(query.value(1)))


@attributes.case(
    "OB-30",
    "5.7.5",
    "An attribute that does not fit is not given: length -1, nothing written behind the buffer.",
    "BUFFER_TOO_SMALL, -1, same",
)
def _ob_30(stand: Stand) -> tuple[str, ...]:
    session = stand.session()
    handle = stand.create(session, data())
    query = Query([(CKA.LABEL, 1), (CKA.VALUE, 64)])
    name = stand.rv("GetAttributeValue", session, handle, query)
    same = query.value(1) == data()[CKA.VALUE]
    return name, length(query.length(0)), "same" if same else "not given"


@attributes.case(
    "OB-31",
    "5.7.5",
    "A NULL buffer asks for the exact length.",
    f"OK, {len(MARK)}, 7",
)
def _ob_31(stand: Stand) -> tuple[str, ...]:
    session = stand.session()
    handle = stand.create(session, data())
    query = Query([(CKA.LABEL, None), (CKA.VALUE, None)])
    name = stand.rv("GetAttributeValue", session, handle, query)
    return name, length(query.length(0)), length(query.length(1))


@attributes.case(
    "OB-32",
    "5.7.6",
    "An object that is not modifiable is not changed.",
    "ACTION_PROHIBITED, 1",
)
def _ob_32(stand: Stand) -> tuple[str | int, ...]:
    session = stand.session()
    handle = stand.create(session, data({CKA.MODIFIABLE: False}))
    return changed(stand, session, handle, {CKA.LABEL: "other"}), stand.labelled(session)


@attributes.case(
    "OB-33",
    "5.7.6",
    "No token object is changed in a read-only session.",
    "SESSION_READ_ONLY, 1",
)
def _ob_33(stand: Stand) -> tuple[str | int, ...]:
    session = stand.user()
    handle = stand.create(session, data({CKA.TOKEN: True}))
    name = changed(stand, stand.session(write=False), handle, {CKA.LABEL: "other"})
    seen = name, stand.labelled(session)
    stand.rv("DestroyObject", session, handle)
    return seen


def _set_truth(stand: Stand, kind: CKA, *, from_: bool, to: bool) -> tuple[str, str]:
    """Generate a key with a truth attribute, change that, and read it."""
    session = stand.user()
    key = aes(stand, session, {kind: from_})
    name = changed(stand, session, key, {kind: to})
    return name, truth(stand.attribute(session, key, kind))


@attributes.case(
    "OB-34",
    "4.11",
    "A sensitive key stays sensitive.",
    "ATTRIBUTE_READ_ONLY, yes",
    needs=(AES,),
)
def _ob_34(stand: Stand) -> tuple[str, str]:
    return _set_truth(stand, CKA.SENSITIVE, from_=True, to=False)


@attributes.case("OB-35", "4.11", "A key can be made sensitive later.", "OK, yes", needs=(AES,))
def _ob_35(stand: Stand) -> tuple[str, str]:
    return _set_truth(stand, CKA.SENSITIVE, from_=False, to=True)


@attributes.case(
    "OB-36",
    "4.11",
    "A key that is not extractable stays so.",
    "ATTRIBUTE_READ_ONLY, no",
    needs=(AES,),
)
def _ob_36(stand: Stand) -> tuple[str, str]:
    return _set_truth(stand, CKA.EXTRACTABLE, from_=False, to=True)


@attributes.case(
    "OB-37",
    "4.1.2",
    "Class and key type of an object never change.",
    "ATTRIBUTE_READ_ONLY, ATTRIBUTE_READ_ONLY, 4, 31",
    needs=(AES,),
)
def _ob_37(stand: Stand) -> tuple[str, ...]:
    session = stand.user()
    key = aes(stand, session)
    names = (
        changed(stand, session, key, {CKA.CLASS: CKO.DATA}),
        changed(stand, session, key, {CKA.KEY_TYPE: CKK.DES3}),
    )
    values = stand.attributes(session, key, CKA.CLASS, CKA.KEY_TYPE)[1]
    return *names, *(str(number(each)) for each in values)


@attributes.case(
    "OB-38",
    "4.4",
    "C_SetAttributeValue does not change whether an object is on the token, private or modifiable.",
    "ATTRIBUTE_READ_ONLY, ATTRIBUTE_READ_ONLY, ATTRIBUTE_READ_ONLY, no, no, yes",
)
def _ob_38(stand: Stand) -> tuple[str, ...]:
    session = stand.user()
    handle = stand.create(session, data())
    names = [
        changed(stand, session, handle, {kind: value})
        for kind, value in ((CKA.TOKEN, True), (CKA.PRIVATE, True), (CKA.MODIFIABLE, False))
    ]
    kinds = CKA.TOKEN, CKA.PRIVATE, CKA.MODIFIABLE
    return *names, *stand.truths(session, handle, *kinds)


@attributes.case(
    "OB-39",
    "4.11",
    "Only the SO can say of a key that it is trusted.",
    "ATTRIBUTE_READ_ONLY",
    allow=(
        "ATTRIBUTE_VALUE_INVALID | TEMPLATE_INCONSISTENT | USER_NOT_LOGGED_IN | FUNCTION_FAILED",
    ),
    needs=(AES,),
)
def _ob_39(stand: Stand) -> str:
    template = Template(aes_template({CKA.TRUSTED: True}))
    return stand.rv("GenerateKey", stand.user(), Mechanism(CKM.AES_KEY_GEN), template, Cell())


@attributes.case(
    "OB-40",
    "5.7.6",
    "A template with one attribute that must not change changes none.",
    "refused, 1",
)
def _ob_40(stand: Stand) -> tuple[str | int, ...]:
    session = stand.session()
    handle = stand.create(session, data())
    name = changed(stand, session, handle, {CKA.LABEL: "other", CKA.CLASS: CKO.SECRET_KEY})
    return "refused" if name != "OK" else name, stand.labelled(session)


@attributes.case(
    "OB-41",
    "4.4",
    "An object that is no longer copyable never is again.",
    "OK, ATTRIBUTE_READ_ONLY, no",
    allow=("ATTRIBUTE_READ_ONLY, ATTRIBUTE_READ_ONLY | OK, yes",),
)
def _ob_41(stand: Stand) -> tuple[str, ...]:
    session = stand.session()
    handle = stand.create(session, data())
    names = [changed(stand, session, handle, {CKA.COPYABLE: value}) for value in (False, True)]
    return *names, truth(stand.attribute(session, handle, CKA.COPYABLE))


@attributes.case(
    "OB-42",
    "4.10",
    "A key that wants a PIN for each use must be private.",
    "TEMPLATE_INCONSISTENT",
    allow=("ATTRIBUTE_VALUE_INVALID",),
    needs=(RSA,),
)
def _ob_42(stand: Stand) -> str:
    session = stand.user()
    templates = rsa_templates(stand, {CKA.ALWAYS_AUTHENTICATE: True, CKA.PRIVATE: False})
    made = [Template(each) for each in templates]
    mechanism_used = Mechanism(CKM.RSA_PKCS_KEY_PAIR_GEN)
    return stand.rv("GenerateKeyPair", session, mechanism_used, *made, Cell(), Cell())


@attributes.case(
    "OB-43",
    "4.2.2",
    "Every object has a unique identifier, and no two have the same.",
    "OK, set, distinct",
    needs=(version(3, 0),),
)
def _ob_43(stand: Stand) -> tuple[str, ...]:
    session = stand.session()
    handles = [stand.create(session, data()) for _ in range(3)]
    answers = [stand.attributes(session, each, CKA.UNIQUE_ID) for each in handles]
    names = {name for name, _ in answers}
    values = [values[0] for _, values in answers]
    return (
        " ".join(sorted(names)),
        "set" if all(values) else "empty",
        "distinct" if len(set(values)) == len(values) else "the same twice",
    )


@attributes.case(
    "OB-44",
    "4.14",
    "A token with profiles shows them as objects without a login, each with its number.",
    "numbered",
    needs=(version(3, 0),),
)
def _ob_44(stand: Stand) -> str:
    session = stand.session(write=False)
    found = stand.find(session, {CKA.CLASS: CKO.PROFILE})
    numbers = [number(stand.attribute(session, each, CKA.PROFILE_ID)) for each in found]
    if not found:
        return "no profile object"
    return "numbered" if all(numbers) and len(set(numbers)) == len(numbers) else str(numbers)


@attributes.case(
    "OB-50",
    "4.8",
    "Class, type, use and origin of a generated key can be read.",
    "OK, 4, 31, no, yes, no, no, yes, 16",
    needs=(AES,),
)
def _ob_50(stand: Stand) -> tuple[str, ...]:
    session = stand.user()
    kinds = (CKA.CLASS, CKA.KEY_TYPE, CKA.SENSITIVE, CKA.EXTRACTABLE, CKA.TOKEN)
    more = (CKA.PRIVATE, CKA.LOCAL, CKA.VALUE_LEN)
    name, values = stand.attributes(session, aes(stand, session), *kinds, *more)
    told = [number(each) if each and len(each) > 1 else truth(each) for each in values]
    return name, *(str(each) for each in told)


@attributes.case(
    "OB-52",
    "4.8",
    "The dates of a key are kept as they were given.",
    "OK, 20260101, 20271231",
    needs=(AES,),
)
def _ob_52(stand: Stand) -> tuple[str, ...]:
    session = stand.user()
    dates: More = {CKA.START_DATE: b"20260101", CKA.END_DATE: b"20271231"}
    key = aes(stand, session, {CKA.PRIVATE: True, **dates})
    name, values = stand.attributes(session, key, CKA.START_DATE, CKA.END_DATE)
    told = ["none" if each is None else each.decode("ascii", "backslashreplace") for each in values]
    return name, *(each.replace("\0", "\\0") for each in told)
