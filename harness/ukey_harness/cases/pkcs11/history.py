"""What a key remembers of its past, and what no program writes (PKCS#11 3.2 §4.8 to §4.11)."""

from ukey_harness.cases.case import Section
from ukey_harness.cases.pkcs11.attributes import AES, RSA, changed
from ukey_harness.cases.pkcs11.keys import (
    More,
    aes,
    aes_template,
    certificate,
    data,
    ec,
    ec_templates,
    imported_aes,
    rsa,
    rsa_templates,
)
from ukey_harness.cases.pkcs11.keys_made import EC_PAIR, generated
from ukey_harness.cases.pkcs11.keys_wrapped import HOW, WRAP, template, unwrapped, wrapped
from ukey_harness.cases.pkcs11.needs import mechanism, version
from ukey_harness.cases.pkcs11.objects import copied, created, without
from ukey_harness.cases.pkcs11.stand import MARK, Stand, number, truth
from ukey_harness.cryptoki.arguments import Cell, Mechanism, Query, Template
from ukey_harness.cryptoki.names import (
    CKA,
    CKF,
    CKK,
    CKM,
    CKO,
    CKP_ML_KEM_768,
    CKU,
    UNAVAILABLE,
)

history = Section("PKCS#11 3.2", "What a key remembers")

PAST = CKA.LOCAL, CKA.ALWAYS_SENSITIVE, CKA.NEVER_EXTRACTABLE
SHUT: More = {CKA.SENSITIVE: True, CKA.EXTRACTABLE: False}
REFUSED = {"ATTRIBUTE_READ_ONLY", "ATTRIBUTE_TYPE_INVALID", "TEMPLATE_INCONSISTENT"}
KEM_PAIR = mechanism(CKM.ML_KEM_KEY_PAIR_GEN, use=CKF.GENERATE_KEY_PAIR)


@history.case(
    "OB-54",
    "4.8",
    "A copy of a key has its past: where it was made, by which mechanism, that it was always "
    "sensitive and never extractable; and its identifier and value.",
    "OK, yes, yes, yes, same",
    needs=(AES,),
)
def _ob_54(stand: Stand) -> tuple[str, ...]:
    session = stand.user()
    source = aes(stand, session, {**SHUT, CKA.ID: b"the key's"})
    name, copy = copied(stand, session, source, {CKA.LABEL: "ukeylab-case copy"})
    if name != "OK":
        return (name,)
    kinds = CKA.KEY_GEN_MECHANISM, CKA.ID, CKA.VALUE_LEN, CKA.CHECK_VALUE, CKA.ENCRYPT
    first, second = (stand.attributes(session, each, *kinds)[1] for each in (source, copy))
    same = first == second and first[1] == b"the key's"
    return name, *stand.truths(session, copy, *PAST), "same" if same else "another"


@history.case(
    "OB-55",
    "4.11",
    "A key that is shut later was not always so: by C_SetAttributeValue and by C_CopyObject.",
    "OK, no, no, OK, no, no",
    needs=(AES,),
)
def _ob_55(stand: Stand) -> tuple[str, ...]:
    session = stand.user()
    source = aes(stand, session)
    second, copy = copied(stand, session, source, SHUT)
    first = changed(stand, session, source, SHUT)
    later = PAST[1:]
    told = stand.truths(session, copy, *later) if second == "OK" else ()
    return first, *stand.truths(session, source, *later), second, *told


@history.case(
    "OB-56",
    "4.8",
    "A template says nothing of a key's past: such attributes are refused when a key is generated.",
    "refused",
    needs=(AES,),
)
def _ob_56(stand: Stand) -> str:
    session, odd = stand.user(), []
    pasts: More = {**dict.fromkeys(PAST, True), CKA.KEY_GEN_MECHANISM: int(CKM.AES_KEY_GEN)}
    for kind, value in pasts.items():
        name = generated(stand, session, aes_template({kind: value}))
        if name not in REFUSED:
            odd.append(f"CKA_{CKA(kind).name}: {name}")
    return "; ".join(odd) or "refused"


@history.case(
    "OB-57",
    "4.8",
    "C_SetAttributeValue changes neither a key's past nor its value nor how it is used.",
    "refused",
    needs=(AES, EC_PAIR),
)
def _ob_57(stand: Stand) -> str:
    session, odd = stand.user(), []
    key, (_, private) = aes(stand, session), ec(stand, session)
    wanted: list[tuple[int, int, bool | int | bytes]] = [
        *((key, kind, value) for kind, value in zip(PAST, (False, True, True), strict=True)),
        (key, CKA.KEY_GEN_MECHANISM, 1),
        (key, CKA.VALUE, bytes(16)),
        (key, CKA.VALUE_LEN, 32),
        (private, CKA.ALWAYS_AUTHENTICATE, True),
    ]
    for handle, kind, value in wanted:
        before = stand.attribute(session, handle, kind)
        name = changed(stand, session, handle, {kind: value})
        if name not in REFUSED or stand.attribute(session, handle, kind) != before:
            odd.append(f"CKA_{CKA(kind).name}: {name}")
    return "; ".join(odd) or "refused"


@history.case(
    "OB-58",
    "4.11",
    "A key that only a trusted key may wrap stays so.",
    "ATTRIBUTE_READ_ONLY, yes, OK, yes",
    allow=("ATTRIBUTE_READ_ONLY, yes, ATTRIBUTE_READ_ONLY, no",),
    needs=(AES,),
)
def _ob_58(stand: Stand) -> tuple[str, ...]:
    session, kind = stand.user(), CKA.WRAP_WITH_TRUSTED
    keys = aes(stand, session, {kind: True}), aes(stand, session)
    seen = []
    for key, value in zip(keys, (False, True), strict=True):
        seen.append(changed(stand, session, key, {kind: value}))
        seen.append(truth(stand.attribute(session, key, kind)))
    return tuple(seen)


@history.case(
    "OB-59",
    "6.1.3",
    "Of a sensitive private key no part that is secret is told, and not how long it is.",
    "withheld",
    needs=(RSA, EC_PAIR),
)
def _ob_59(stand: Stand) -> str:
    session, odd = stand.user(), []
    _, factoring = rsa(stand, session)
    _, curve = ec(stand, session)
    parts = (CKA.PRIVATE_EXPONENT, CKA.PRIME_1, CKA.PRIME_2, CKA.EXPONENT_1, CKA.EXPONENT_2)
    wanted = {factoring: (*parts, CKA.COEFFICIENT), curve: (CKA.VALUE,)}
    for key, kinds in wanted.items():
        for kind in kinds:
            odd += _told(stand, session, key, kind)
    return "; ".join(odd) or "withheld"


def _told(stand: Stand, session: int, key: int, kind: CKA) -> list[str]:
    """Return what is told of a secret attribute, by asking for it and for its length."""
    odd = []
    for room in (1024, None):
        query = Query([(kind, room)])
        name = stand.rv("GetAttributeValue", session, key, query)
        # A key need not have the parts that only make it faster.
        secret = name in {"ATTRIBUTE_SENSITIVE", "ATTRIBUTE_TYPE_INVALID"}
        if not secret or query.length(0) != UNAVAILABLE:
            odd.append(f"CKA_{kind.name}: {name}")
    return odd


@history.case(
    "OB-60",
    "6.68",
    "Of a sensitive ML-KEM key neither the value nor the seed is told.",
    "withheld",
    needs=(version(3, 2), KEM_PAIR),
)
def _ob_60(stand: Stand) -> str:
    session = stand.user()
    both: More = {CKA.TOKEN: False, CKA.LABEL: MARK}
    _, private = stand.pair(
        session,
        CKM.ML_KEM_KEY_PAIR_GEN,
        {**both, CKA.PRIVATE: False, CKA.PARAMETER_SET: CKP_ML_KEM_768},
        {**both, CKA.PRIVATE: True, CKA.SENSITIVE: True},
    )
    odd = [each for kind in (CKA.VALUE, CKA.SEED) for each in _told(stand, session, private, kind)]
    return "; ".join(odd) or "withheld"


@history.case(
    "OB-61",
    "5.7.6",
    "What C_SetAttributeValue has changed on the token is so after a restart, and so is the "
    "identifier that the token gave.",
    "OK, 0, 1, same",
)
def _ob_61(stand: Stand) -> tuple[str | int, ...]:
    session = stand.user()
    # A private one is read from the token at each login.
    handle = stand.create(session, data({CKA.TOKEN: True, CKA.PRIVATE: True}))
    kind = CKA.UNIQUE_ID if stand.module.version >= (3, 0) else CKA.CLASS
    before = stand.attribute(session, handle, kind)
    name = changed(stand, session, handle, {CKA.LABEL: f"{MARK} changed"})
    stand.finalize()
    stand.forget_slot()
    session = stand.user()
    found = stand.find(session, {CKA.LABEL: f"{MARK} changed"})
    same = [stand.attribute(session, each, kind) for each in found] == [before]
    seen = name, stand.labelled(session), len(found), "same" if same else "another"
    for each in [*found, *stand.find(session, {CKA.LABEL: MARK})]:
        stand.rv("DestroyObject", session, each)
    return seen


@history.case(
    "OB-62",
    "4.1.2",
    "A copy is of the same class and type as its source, and has the same value.",
    "refused, 1",
    needs=(AES,),
)
def _ob_62(stand: Stand) -> tuple[str | int, ...]:
    session, odd = stand.user(), []
    source = aes(stand, session)
    others: More = {
        CKA.CLASS: int(CKO.DATA),
        CKA.KEY_TYPE: int(CKK.GENERIC_SECRET),
        CKA.LOCAL: False,
        CKA.VALUE: bytes(16),
    }
    for kind, value in others.items():
        name = copied(stand, session, source, {kind: value})[0]
        if name not in REFUSED:
            odd.append(f"CKA_{CKA(kind).name}: {name}")
    return "; ".join(odd) or "refused", stand.labelled(session)


@history.case(
    "OB-63",
    "5.7.3",
    "An object that is not modifiable can be destroyed: that is another attribute's matter.",
    "OK, 0",
)
def _ob_63(stand: Stand) -> tuple[str | int, ...]:
    session = stand.session()
    handle = stand.create(session, data({CKA.MODIFIABLE: False}))
    return stand.rv("DestroyObject", session, handle), stand.labelled(session)


@history.case(
    "OB-64",
    "4.1.1",
    "What is long is kept whole, or refused; never cut.",
    "whole",
    allow=("refused",),
)
def _ob_64(stand: Stand) -> str:
    session = stand.session()
    long: More = {CKA.LABEL: f"{MARK} {'long ' * 40}", CKA.VALUE: bytes(range(256)) * 16}
    name = stand.rv("CreateObject", session, Template(data(long)), cell := Cell())
    if name != "OK":
        refusals = {"ATTRIBUTE_VALUE_INVALID", "DEVICE_MEMORY", "HOST_MEMORY"}
        return "refused" if name in refusals else name
    query = Query([(kind, 8192) for kind in long])
    stand.must("GetAttributeValue", session, cell.value, query)
    right = [str(long[CKA.LABEL]).encode(), long[CKA.VALUE]]
    return "whole" if [query.value(0), query.value(1)] == right else "cut"


@history.case(
    "OB-65",
    "4.9",
    "Without a word in the template a pair derives nothing, wants no PIN for each use, is not "
    "trusted and trusts nobody, and has no end.",
    "no, no, no, no, empty",
    needs=(EC_PAIR,),
)
def _ob_65(stand: Stand) -> tuple[str, ...]:
    session = stand.user()
    public, private = ec_templates()
    made = stand.pair(session, CKM.EC_KEY_PAIR_GEN, public, without(private, CKA.DERIVE))
    kinds = CKA.DERIVE, CKA.ALWAYS_AUTHENTICATE, CKA.WRAP_WITH_TRUSTED
    dates = stand.attributes(session, made[1], CKA.START_DATE, CKA.END_DATE, CKA.ID)[1]
    return (
        *stand.truths(session, made[1], *kinds),
        *stand.truths(session, made[0], CKA.TRUSTED),
        "empty" if dates == [b"", b"", b""] else str(dates),
    )


@history.case(
    "KM-47",
    "5.18.2",
    "A pair that a read-only session cannot keep is not made by halves.",
    "SESSION_READ_ONLY, 0",
    needs=(EC_PAIR,),
)
def _km_47(stand: Stand) -> tuple[str | int, ...]:
    session = stand.user(write=False)
    public, private = ec_templates({CKA.TOKEN: True})
    how, handles = Mechanism(CKM.EC_KEY_PAIR_GEN), (Cell(), Cell())
    name = stand.rv("GenerateKeyPair", session, how, Template(public), Template(private), *handles)
    return name, stand.labelled(session)


@history.case(
    "KM-48",
    "5.18.1",
    "No two keys that are generated are the same, and each looks drawn by lot.",
    "distinct",
    needs=(AES,),
)
def _km_48(stand: Stand) -> str:
    session = stand.user()
    keys = [aes(stand, session, size=32) for _ in range(8)]
    values = [stand.attribute(session, key, CKA.VALUE) or b"" for key in keys]
    if len(set(values)) < len(values):
        return "the same twice"
    # Of 32 bytes drawn by lot fewer than 20 different ones come up once in 10^10 keys.
    return "distinct" if all(len(set(each)) >= 20 for each in values) else "of few bytes"  # noqa: PLR2004


@history.case(
    "KM-49",
    "4.11",
    "A key that only a trusted key may wrap is wrapped by one that the SO has called trusted.",
    "KEY_NOT_WRAPPABLE, yes, OK",
    needs=(WRAP,),
)
def _km_49(stand: Stand) -> tuple[str, ...]:
    session = stand.user()
    more: More = {CKA.TOKEN: True, CKA.LABEL: f"{MARK} trusted"}
    guarded: More = {CKA.WRAP_WITH_TRUSTED: True}
    first = wrapped(stand, session, aes(stand, session, more), aes(stand, session, guarded))[0]
    stand.must("Logout", session)
    stand.enter(session, CKU.SO)
    # A token may let the SO say so of a key when it is made, or later, or both.
    if generated(stand, session, aes_template({**more, CKA.TRUSTED: True})) != "OK":
        for key in stand.find(session, {CKA.LABEL: more[CKA.LABEL]}):
            changed(stand, session, key, {CKA.TRUSTED: True})
    stand.must("Logout", session)
    stand.enter(session)
    keys = stand.find(session, {CKA.LABEL: more[CKA.LABEL]})
    trusted = [key for key in keys if stand.truths(session, key, CKA.TRUSTED) == ("yes",)]
    names = [wrapped(stand, session, key, aes(stand, session, guarded))[0] for key in trusted]
    for key in keys:
        stand.rv("DestroyObject", session, key)
    return first, "yes" if trusted else "no", names[0] if names else "nothing"


@history.case(
    "KM-50",
    "4.8",
    "A key that was not generated here knows no mechanism that made it.",
    "unavailable, unavailable",
    needs=(WRAP,),
)
def _km_50(stand: Stand) -> tuple[str, ...]:
    session = stand.user()
    brought = stand.create(session, imported_aes({CKA.LABEL: "wrapped"}))
    wrapper = aes(stand, session)
    blob = stand.made("WrapKey", session, Mechanism(HOW), wrapper, brought)
    name, other = unwrapped(stand, session, wrapper, blob, template())
    if name != "OK":
        return (name,)
    seen = []
    for key in (brought, other):
        kind = number(stand.attribute(session, key, CKA.KEY_GEN_MECHANISM))
        seen.append("unavailable" if kind == UNAVAILABLE else str(kind))
    return tuple(seen)


@history.case(
    "OB-66",
    "4.6",
    "A certificate is of a type and has a subject; without a word it is trusted by nobody, and of "
    "no category.",
    "TEMPLATE_INCOMPLETE, TEMPLATE_INCOMPLETE, no, 0",
)
def _ob_66(stand: Stand) -> tuple[str, ...]:
    session = stand.user()
    names = [
        created(stand, session, without(certificate(), kind))
        for kind in (CKA.CERTIFICATE_TYPE, CKA.SUBJECT)
    ]
    made = stand.create(session, certificate())
    category = number(stand.attribute(session, made, CKA.CERTIFICATE_CATEGORY))
    return *names, *stand.truths(session, made, CKA.TRUSTED), str(category)


@history.case(
    "OB-67",
    "4.11",
    "A user cannot call a key or a certificate trusted later either, nor a copy of it.",
    "refused",
    needs=(AES,),
)
def _ob_67(stand: Stand) -> str:
    session, odd = stand.user(), []
    trust: More = {CKA.TRUSTED: True}
    for each in (aes(stand, session), stand.create(session, certificate())):
        name, copy = copied(stand, session, each, trust)
        tried = [(each, changed(stand, session, each, trust))]
        tried += [(copy, name)] if name == "OK" else []
        odd += [name for key, name in tried if stand.truths(session, key, CKA.TRUSTED) == ("yes",)]
    return " ".join(odd) or "refused"


@history.case(
    "SE-39",
    "4.4",
    "All private objects of the token are there after the next login and after a restart, as they "
    "were.",
    "3, 3, same",
)
def _se_39(stand: Stand) -> tuple[int | str, ...]:
    session, kind = stand.user(), CKA.VALUE
    if stand.module.version >= (3, 0):
        kind = CKA.UNIQUE_ID
    kept: More = {CKA.TOKEN: True, CKA.PRIVATE: True}
    made = [stand.create(session, data({**kept, CKA.VALUE: bytes([index])})) for index in range(3)]
    before = {stand.attribute(session, each, kind) for each in made}
    stand.must("Logout", session)
    stand.enter(session)
    first = stand.labelled(session)
    stand.finalize()
    stand.forget_slot()
    session = stand.user()
    found = stand.find(session, {CKA.LABEL: MARK})
    after = {stand.attribute(session, each, kind) for each in found}
    for each in found:
        stand.rv("DestroyObject", session, each)
    return first, len(found), "same" if before == after else "others"


@history.case(
    "KM-53",
    "6.1.4",
    "The exponent that was asked for is the pair's, and so is the identifier; an exponent that the "
    "token does not make is refused.",
    "OK, 17, same",
    allow=("refused",),
    needs=(RSA,),
)
def _km_53(stand: Stand) -> tuple[str, ...]:
    session, handles = stand.user(), (Cell(), Cell())
    public, private = rsa_templates(stand, {CKA.ID: b"pair"}, {CKA.ID: b"pair"})
    templates = Template({**public, CKA.PUBLIC_EXPONENT: b"\x11"}), Template(private)
    how = Mechanism(CKM.RSA_PKCS_KEY_PAIR_GEN)
    name = stand.rv("GenerateKeyPair", session, how, *templates, *handles)
    if name in {"ATTRIBUTE_VALUE_INVALID", "TEMPLATE_INCONSISTENT"}:
        return ("refused",)
    if name != "OK":
        return (name,)
    exponent = stand.attribute(session, handles[0].value, CKA.PUBLIC_EXPONENT)
    ids = {stand.attribute(session, each.value, CKA.ID) for each in handles}
    told = str(int.from_bytes(exponent or b"", "big"))
    return name, told, "same" if ids == {b"pair"} else "another"
