"""Wrapping and unwrapping keys (PKCS#11 3.2 §5.18.3, §5.18.4): KM, second part."""

from ukey_harness.cases.case import Section
from ukey_harness.cases.pkcs11.encrypt import GENERATED
from ukey_harness.cases.pkcs11.keys import IV, More, aes, aes_template, imported_aes
from ukey_harness.cases.pkcs11.needs import all_of, mechanism
from ukey_harness.cases.pkcs11.objects import BOGUS, without
from ukey_harness.cases.pkcs11.stand import Stand, truth
from ukey_harness.cryptoki.arguments import Cell, Mechanism, Room, Template
from ukey_harness.cryptoki.names import CKA, CKF, CKK, CKM, CKO, NOBODY

keys_wrapped = Section("PKCS#11 3.2", "Wrapping keys")

WRAP = all_of(GENERATED, mechanism(CKM.AES_KEY_WRAP, use=CKF.WRAP | CKF.UNWRAP))
HOW = CKM.AES_KEY_WRAP
VALUE = bytes(range(100, 116))
UNWRAPPED = "ukeylab-case unwrapped"


def wrapped(
    stand: Stand, session: int, wrapper: int, key: int, kind: int = HOW
) -> tuple[str, bytes]:
    """C_WrapKey; return its name and the wrapped key."""
    return stand.output("WrapKey", session, Mechanism(kind), wrapper, key)


def unwrapped(
    stand: Stand, session: int, wrapper: int, blob: bytes, pairs: More
) -> tuple[str, int]:
    """C_UnwrapKey; return its name and the key's handle."""
    cell = Cell()
    name = stand.rv("UnwrapKey", session, Mechanism(HOW), wrapper, blob, Template(pairs), cell)
    return name, cell.value


def template(more: More | None = None) -> More:
    """Return the template under which an AES key is unwrapped."""
    return {
        CKA.CLASS: CKO.SECRET_KEY,
        CKA.KEY_TYPE: CKK.AES,
        **without(aes_template(), CKA.VALUE_LEN),
        **(more or {}),
    }


def ready(stand: Stand, session: int) -> tuple[int, bytes]:
    """Return a wrapping key, and a wrapped AES-128 key whose value is VALUE."""
    wrapper = aes(stand, session)
    key = stand.create(session, imported_aes({CKA.LABEL: "wrapped"}, VALUE))
    return wrapper, stand.made("WrapKey", session, Mechanism(HOW), wrapper, key)


@keys_wrapped.case(
    "KM-18",
    "5.18.3",
    "A key that must not wrap does not.",
    "KEY_FUNCTION_NOT_PERMITTED",
    needs=(WRAP,),
)
def _km_18(stand: Stand) -> str:
    session = stand.user()
    wrapper = aes(stand, session, {CKA.WRAP: False})
    return wrapped(stand, session, wrapper, aes(stand, session))[0]


@keys_wrapped.case(
    "KM-19",
    "5.18.3",
    "A key that is not extractable is not wrapped.",
    "KEY_UNEXTRACTABLE",
    needs=(WRAP,),
)
def _km_19(stand: Stand) -> str:
    session = stand.user()
    key = aes(stand, session, {CKA.EXTRACTABLE: False})
    return wrapped(stand, session, aes(stand, session), key)[0]


@keys_wrapped.case(
    "KM-20",
    "4.11",
    "A key that only a trusted key may wrap is wrapped by no other.",
    "KEY_NOT_WRAPPABLE",
    needs=(WRAP,),
)
def _km_20(stand: Stand) -> str:
    session = stand.user()
    key = aes(stand, session, {CKA.WRAP_WITH_TRUSTED: True})
    return wrapped(stand, session, aes(stand, session), key)[0]


@keys_wrapped.case(
    "KM-21",
    "5.2",
    "Asking for the length of a wrapped key, and a buffer that is too short, are answered as such.",
    "OK, enough, BUFFER_TOO_SMALL, enough, OK, 24",
    needs=(WRAP,),
)
def _km_21(stand: Stand) -> tuple[str | int, ...]:
    session = stand.user()
    wrapper, key = aes(stand, session), aes(stand, session)
    rooms = Room(None), Room(1), Room(64)
    names = [stand.rv("WrapKey", session, Mechanism(HOW), wrapper, key, room) for room in rooms]
    told = [
        "enough" if room.length >= rooms[2].length and not room.overrun else str(room.length)
        for room in rooms[:2]
    ]
    return names[0], told[0], names[1], told[1], names[2], rooms[2].length


@keys_wrapped.case(
    "KM-22",
    "5.18.3",
    "A handle that is no key is refused, and told apart: the wrapping one, the one to be wrapped.",
    "WRAPPING_KEY_HANDLE_INVALID, KEY_HANDLE_INVALID",
    needs=(WRAP,),
)
def _km_22(stand: Stand) -> tuple[str, str]:
    session = stand.user()
    key = aes(stand, session)
    return (
        wrapped(stand, session, NOBODY, key)[0],
        wrapped(stand, session, key, NOBODY)[0],
    )


@keys_wrapped.case(
    "KM-23",
    "5.18.4",
    "Unwrapping gives the value back; the key is not local, and was neither always sensitive nor "
    "never extractable.",
    "OK, same, no, no, no",
    needs=(WRAP,),
)
def _km_23(stand: Stand) -> tuple[str, ...]:
    session = stand.user()
    wrapper, blob = ready(stand, session)
    name, key = unwrapped(stand, session, wrapper, blob, template())
    if name != "OK":
        return (name,)
    same = stand.attribute(session, key, CKA.VALUE) == VALUE
    shut = template({CKA.SENSITIVE: True, CKA.EXTRACTABLE: False})
    _, other = unwrapped(stand, session, wrapper, blob, shut)
    kinds = CKA.LOCAL, CKA.ALWAYS_SENSITIVE, CKA.NEVER_EXTRACTABLE
    return name, "same" if same else "another value", *stand.truths(session, other, *kinds)


@keys_wrapped.case(
    "KM-24",
    "5.18.4",
    "A key that must not unwrap does not.",
    "KEY_FUNCTION_NOT_PERMITTED",
    needs=(WRAP,),
)
def _km_24(stand: Stand) -> str:
    session = stand.user()
    _, blob = ready(stand, session)
    other = aes(stand, session, {CKA.UNWRAP: False})
    return unwrapped(stand, session, other, blob, template())[0]


@keys_wrapped.case(
    "KM-25",
    "5.18.4",
    "A wrapped key that was tampered with is refused.",
    "WRAPPED_KEY_INVALID",
    needs=(WRAP,),
)
def _km_25(stand: Stand) -> str:
    session = stand.user()
    wrapper, blob = ready(stand, session)
    spoilt = bytes([blob[0] ^ 1]) + blob[1:]
    return unwrapped(stand, session, wrapper, spoilt, template())[0]


@keys_wrapped.case(
    "KM-26",
    "5.18.4",
    "A wrapped key of a length that none has is refused.",
    "WRAPPED_KEY_LEN_RANGE",
    allow=("WRAPPED_KEY_INVALID",),
    needs=(WRAP,),
)
def _km_26(stand: Stand) -> str:
    session = stand.user()
    return unwrapped(stand, session, aes(stand, session), bytes(5), template())[0]


@keys_wrapped.case(
    "KM-27",
    "5.18.4",
    "A handle that is no key is refused as the unwrapping key's.",
    "UNWRAPPING_KEY_HANDLE_INVALID",
    needs=(WRAP,),
)
def _km_27(stand: Stand) -> str:
    session = stand.user()
    _, blob = ready(stand, session)
    return unwrapped(stand, session, NOBODY, blob, template())[0]


@keys_wrapped.case(
    "KM-28",
    "4.1.1",
    "A template without a key type is incomplete.",
    "TEMPLATE_INCOMPLETE",
    needs=(WRAP,),
)
def _km_28(stand: Stand) -> str:
    session = stand.user()
    wrapper, blob = ready(stand, session)
    return unwrapped(stand, session, wrapper, blob, without(template(), CKA.KEY_TYPE))[0]


@keys_wrapped.case(
    "KM-29",
    "5.18.4",
    "A key that is unwrapped is extractable, unless its template says otherwise.",
    "yes",
    needs=(WRAP,),
)
def _km_29(stand: Stand) -> str:
    session = stand.user()
    wrapper, blob = ready(stand, session)
    name, key = unwrapped(stand, session, wrapper, blob, without(template(), CKA.EXTRACTABLE))
    return truth(stand.attribute(session, key, CKA.EXTRACTABLE)) if name == "OK" else name


@keys_wrapped.case(
    "KM-30",
    "5.18.4",
    "No key is unwrapped onto the token in a read-only session.",
    "SESSION_READ_ONLY, 1",
    needs=(WRAP,),
)
def _km_30(stand: Stand) -> tuple[str | int, ...]:
    session = stand.user(write=False)
    wrapper, blob = ready(stand, session)
    name, _ = unwrapped(stand, session, wrapper, blob, template({CKA.TOKEN: True}))
    return name, stand.labelled(session)


@keys_wrapped.case(
    "KM-37",
    "5.18.3",
    "A key that wraps and decrypts gives wrapped keys away; the standard does not forbid it.",
    "prevented",
    allow=("given away",),
    needs=(GENERATED, mechanism(CKM.AES_CBC, use=CKF.WRAP | CKF.DECRYPT)),
)
def _km_37(stand: Stand) -> str:
    session = stand.user()
    wrapper = aes(stand, session)
    key = stand.create(session, imported_aes({CKA.SENSITIVE: True}, VALUE))
    name, blob = stand.output("WrapKey", session, Mechanism(CKM.AES_CBC, IV), wrapper, key)
    if name != "OK":
        return "prevented" if name in {"KEY_NOT_WRAPPABLE", "KEY_FUNCTION_NOT_PERMITTED"} else name
    begun = stand.rv("DecryptInit", session, Mechanism(CKM.AES_CBC, IV), wrapper)
    if begun != "OK":
        return "prevented" if begun == "KEY_FUNCTION_NOT_PERMITTED" else begun
    value = stand.made("Decrypt", session, blob)
    return "given away" if value == VALUE else "wrapped another value"


@keys_wrapped.case(
    "KM-38",
    "5.18.3",
    "A key that does not match the wrapping key's template is refused by its handle; one that does "
    "is wrapped.",
    "KEY_HANDLE_INVALID, OK",
    needs=(WRAP,),
)
def _km_38(stand: Stand) -> tuple[str, str]:
    session = stand.user()
    key = aes(stand, session)
    names = []
    for kind in (CKK.DES3, CKK.AES):
        wrapper = aes(stand, session, {CKA.WRAP_TEMPLATE: {CKA.KEY_TYPE: kind}})
        names.append(wrapped(stand, session, wrapper, key)[0])
    return names[0], names[1]


@keys_wrapped.case(
    "KM-39",
    "5.18.4",
    "A template that contradicts the unwrapping key's is refused.",
    "TEMPLATE_INCONSISTENT, 1",
    needs=(WRAP,),
)
def _km_39(stand: Stand) -> tuple[str | int, ...]:
    session = stand.user()
    wrapper, blob = _strict(stand, session)
    name, _ = unwrapped(stand, session, wrapper, blob, template())
    return name, stand.labelled(session)


def _strict(stand: Stand, session: int) -> tuple[int, bytes]:
    """Return a key that unwraps only what is not extractable, and a key that it has wrapped."""
    wrapper = aes(stand, session, {CKA.UNWRAP_TEMPLATE: {CKA.EXTRACTABLE: False}})
    key = stand.create(session, imported_aes({CKA.LABEL: "wrapped"}, VALUE))
    return wrapper, stand.made("WrapKey", session, Mechanism(HOW), wrapper, key)


@keys_wrapped.case(
    "KM-44",
    "5.18.4",
    "What the unwrapping key's template says is added to a template that does not speak of it.",
    "OK, no",
    needs=(WRAP,),
)
def _km_44(stand: Stand) -> tuple[str, str]:
    session = stand.user()
    wrapper, blob = _strict(stand, session)
    name, key = unwrapped(stand, session, wrapper, blob, without(template(), CKA.EXTRACTABLE))
    return name, truth(stand.attribute(session, key, CKA.EXTRACTABLE))


@keys_wrapped.case(
    "KM-42",
    "5.18.4",
    "A length that is not the wrapped key's is refused.",
    "WRAPPED_KEY_LEN_RANGE",
    allow=("TEMPLATE_INCONSISTENT | ATTRIBUTE_READ_ONLY",),
    needs=(WRAP,),
)
def _km_42(stand: Stand) -> str:
    session = stand.user()
    wrapper, blob = ready(stand, session)
    return unwrapped(stand, session, wrapper, blob, template({CKA.VALUE_LEN: 32}))[0]


@keys_wrapped.case(
    "KM-43",
    "5.18.4",
    "A key type that cannot have the wrapped key's length is refused.",
    "WRAPPED_KEY_LEN_RANGE",
    allow=(
        "WRAPPED_KEY_INVALID | TEMPLATE_INCONSISTENT | ATTRIBUTE_VALUE_INVALID | KEY_SIZE_RANGE",
    ),
    needs=(WRAP, mechanism(CKM.DES3_KEY_GEN)),
)
def _km_43(stand: Stand) -> str:
    session = stand.user()
    wrapper, blob = ready(stand, session)
    return unwrapped(stand, session, wrapper, blob, template({CKA.KEY_TYPE: CKK.DES3}))[0]


@keys_wrapped.case(
    "KM-56",
    "5.18.4",
    "A key whose unwrapping failed is not there.",
    "refused, refused, 0",
    needs=(WRAP,),
)
def _km_56(stand: Stand) -> tuple[str | int, ...]:
    session = stand.user()
    wrapper, blob = ready(stand, session)
    spoilt, seen = bytes([blob[0] ^ 1]) + blob[1:], []
    more: More = {CKA.LABEL: UNWRAPPED}
    for given, pairs in ((spoilt, template(more)), (blob, template({**more, BOGUS: b"x"}))):
        name = unwrapped(stand, session, wrapper, given, pairs)[0]
        seen.append("refused" if name != "OK" else name)
    return *seen, stand.labelled(session, UNWRAPPED)
