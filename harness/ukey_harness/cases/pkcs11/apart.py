"""What is kept apart: tokens, sessions, users, operations (PKCS#11 3.2 §5.6, §5.7)."""

from typing import Any

from ukey_harness.cases.case import Changes, Section, Unprepared
from ukey_harness.cases.pkcs11.decrypt import RSA
from ukey_harness.cases.pkcs11.digest import SHA256, right
from ukey_harness.cases.pkcs11.encrypt import ECB, TEXT
from ukey_harness.cases.pkcs11.keys import MESSAGE, More, aes, data, rsa, secret
from ukey_harness.cases.pkcs11.keys_wrapped import WRAP, template, unwrapped, wrapped
from ukey_harness.cases.pkcs11.needs import acts, mechanism, version
from ukey_harness.cases.pkcs11.pins import set_pin
from ukey_harness.cases.pkcs11.sign import BOTH, EACH_USE, HASHED_RSA
from ukey_harness.cases.pkcs11.stand import MARK, Stand
from ukey_harness.cryptoki.arguments import Cell, Mechanism, Numbers, Record, Room, Template
from ukey_harness.cryptoki.module import padded_text
from ukey_harness.cryptoki.names import CKA, CKF, CKM, CKU, NOBODY

apart = Section("PKCS#11 3.2", "What is kept apart")

MANY = 70
NOT_HAD = "FUNCTION_NOT_SUPPORTED | MECHANISM_INVALID"
PIN = "Abcdefgh-1234"


def second_slot(stand: Stand) -> int:
    """Have another token added; return its slot."""
    serial = stand.act("add_token")["serial"]
    mine = stand.slot
    for slot in stand.slots():
        if slot != mine and padded_text(stand.token_info(slot).serialNumber) == serial:
            return slot
    raise Unprepared(f"no slot shows the token {serial!r}")


@apart.case(
    "SE-35",
    "5.6.3",
    "C_CloseAllSessions closes the sessions with one token, and no others.",
    "OK, SESSION_HANDLE_INVALID, 2",
    needs=(acts("add_token"),),
)
def _se_35(stand: Stand) -> tuple[str | int, ...]:
    other = stand.session(slot=second_slot(stand))
    session = stand.session()
    name = stand.rv("CloseAllSessions", stand.slot)
    info = Record("CK_SESSION_INFO")
    return name, stand.rv("GetSessionInfo", session, info), stand.state(other)


@apart.case(
    "SE-36",
    "5.6.8",
    "The login to one token is none to another, and its objects and their handles are not that "
    "one's.",
    "3, 2, 1, 0, OBJECT_HANDLE_INVALID, 3",
    needs=(acts("add_token"),),
)
def _se_36(stand: Stand) -> tuple[str | int, ...]:
    other = stand.session(slot=second_slot(stand))
    session = stand.user()
    handle = stand.create(session, data())
    seen = stand.state(session), stand.state(other)
    found = stand.labelled(session), stand.labelled(other)
    name = stand.attributes(other, handle, CKA.LABEL)[0]
    stand.must("CloseSession", other)
    return *seen, *found, name, stand.state(session)


@apart.case(
    "SE-37",
    "4.4",
    "The SO makes no private objects, on the token or in the session.",
    "USER_NOT_LOGGED_IN, USER_NOT_LOGGED_IN, 0",
)
def _se_37(stand: Stand) -> tuple[str | int, ...]:
    session = stand.so()
    private: More = {CKA.PRIVATE: True}
    names = [
        stand.rv("CreateObject", session, Template(data(each)), Cell())
        for each in (private, {**private, CKA.TOKEN: True})
    ]
    stand.must("Logout", session)
    stand.enter(session)
    return *names, stand.labelled(session)


@apart.case(
    "SE-38",
    "5.6.7",
    "A saved digest is a copy: its original goes on alone, and it can be taken up more than once. "
    "What is no saved state is refused.",
    "good, good, good, SAVED_STATE_INVALID",
    allow=("FUNCTION_NOT_SUPPORTED | STATE_UNSAVEABLE",),
    needs=(SHA256,),
)
def _se_38(stand: Stand) -> tuple[str, ...]:
    first = stand.session()
    stand.must("DigestInit", first, Mechanism(CKM.SHA256))
    stand.must("DigestUpdate", first, MESSAGE[:10])
    name, state = stand.output("GetOperationState", first)
    if name != "OK":
        return (name,)
    stand.must("DigestUpdate", first, b"alone")
    seen = [right(stand.made("DigestFinal", first), MESSAGE[:10] + b"alone")]
    for end in (MESSAGE[10:], b"again"):
        session = stand.session()
        stand.must("SetOperationState", session, state, 0, 0)
        stand.must("DigestUpdate", session, end)
        seen.append(right(stand.made("DigestFinal", session), MESSAGE[:10] + end))
    spoilt = bytes(each ^ 0x5A for each in state)
    return *seen, stand.rv("SetOperationState", stand.session(), spoilt, 0, 0)


@apart.case(
    "PN-22",
    "5.5.9",
    "Each character of a PIN counts: its case, and those at its end.",
    "OK, PIN_INCORRECT, PIN_INCORRECT, PIN_INCORRECT, PIN_INCORRECT, OK",
    changes=Changes.TOKEN,
)
def _pn_22(stand: Stand) -> tuple[str, ...]:
    session = stand.session()
    seen = [set_pin(stand, session, stand.pin(), PIN)]
    if seen[0] != "OK":
        return tuple(seen)
    for wrong in (PIN.lower(), PIN[:8], PIN + "5", PIN + "\0"):
        seen.append(stand.login(session, pin=wrong))
        if stand.login(session, pin=PIN) == "OK":  # so that no try stays spent
            stand.must("Logout", session)
    return *seen, stand.login(session, pin=PIN)


@apart.case(
    "FI-13",
    "5.7.8",
    "A search of many objects gives each of them once, in batches of whatever size.",
    f"{MANY}, {MANY}, {MANY}, {MANY}, each once",
)
def _fi_13(stand: Stand) -> tuple[int | str, ...]:
    session = stand.session()
    made = sorted(stand.create(session, data()) for _ in range(MANY))
    found = [stand.find(session, {CKA.LABEL: MARK}, most) for most in (1, 7, MANY, 4 * MANY)]
    once = all(sorted(each) == made for each in found)
    return *(len(each) for each in found), "each once" if once else "not each once"


@apart.case(
    "FI-14",
    "5.7.7",
    "An attribute without a value is matched by one without a value, and not by every one.",
    "0, 1",
)
def _fi_14(stand: Stand) -> tuple[int, int]:
    session = stand.session()
    stand.create(session, data({CKA.APPLICATION: "x"}))
    wanted: More = {CKA.LABEL: MARK, CKA.APPLICATION: b""}
    before = len(stand.find(session, wanted))
    stand.create(session, data({CKA.APPLICATION: b""}))
    return before, len(stand.find(session, wanted))


@apart.case(
    "FI-15",
    "5.7.7",
    "A session finds nothing that was destroyed, and nothing by what it no longer is.",
    "1, 0, 1, 0",
)
def _fi_15(stand: Stand) -> tuple[int, ...]:
    session, label = stand.session(), f"{MARK} changed"
    handle = stand.create(session, data())
    seen = [stand.labelled(session)]
    stand.must("SetAttributeValue", session, handle, Template({CKA.LABEL: label}))
    seen += [stand.labelled(session), stand.labelled(session, label)]
    stand.must("DestroyObject", session, handle)
    return *seen, stand.labelled(session, label)


@apart.case(
    "SV-34",
    "4.10",
    "A key that wants a PIN for each use wants it for a signature in parts too, and one PIN is "
    "good for all of them.",
    "USER_NOT_LOGGED_IN, OK, OK, USER_NOT_LOGGED_IN",
    needs=(HASHED_RSA,),
)
def _sv_34(stand: Stand) -> tuple[str, ...]:
    session, how = stand.user(), CKM.SHA256_RSA_PKCS
    _, private = rsa(stand, session, EACH_USE)

    def parts() -> str:
        for part in (MESSAGE[:7], MESSAGE[7:]):
            name = stand.rv("SignUpdate", session, part)
            if name != "OK":
                return name
        return stand.output("SignFinal", session)[0]

    stand.begin("Sign", session, how, private)
    before = parts()
    end_of(stand, session, "SignInit")
    stand.begin("Sign", session, how, private)
    entered = stand.login(session, CKU.CONTEXT_SPECIFIC)
    after = parts()
    stand.begin("Sign", session, how, private)
    return before, entered, after, parts()


def end_of(stand: Stand, session: int, init: str) -> None:
    """End an operation that a refusal may have left active, as far as the module can."""
    if stand.module.version >= (3, 0):
        stand.rv(init, session, None, 0)


@apart.case(
    "DE-12",
    "4.10",
    "A key that wants a PIN for each use decrypts nothing without it.",
    "USER_NOT_LOGGED_IN, untouched",
    needs=(RSA,),
)
def _de_12(stand: Stand) -> tuple[str, str]:
    session, room = stand.user(), Room()
    public, private = rsa(stand, session, EACH_USE)
    sealed = stand.done("Encrypt", session, CKM.RSA_PKCS, public, MESSAGE)
    name = stand.rv("DecryptInit", session, Mechanism(CKM.RSA_PKCS), private)
    if name == "OK":
        name = stand.rv("Decrypt", session, sealed, room)
    return name, "untouched" if room.untouched else "written to"


CANCELLED = {
    "Digest": CKF.DIGEST, "Encrypt": CKF.ENCRYPT, "Decrypt": CKF.DECRYPT, "Sign": CKF.SIGN,
    "Verify": CKF.VERIFY, "FindObjects": CKF.FIND_OBJECTS,
}  # fmt: skip


@apart.case(
    "MI-05",
    "5.6.5",
    "C_SessionCancel ends each kind of operation by its own flag, and by no other's.",
    "each by its own",
    needs=(version(3, 0), SHA256, ECB, mechanism(CKM.SHA256_HMAC, use=BOTH)),
)
def _mi_05(stand: Stand) -> str:
    session, odd = stand.user(), []
    key = aes(stand, session, {CKA.SIGN: True, CKA.VERIFY: True})
    mac = stand.create(session, secret())
    begin: dict[str, tuple[Any, ...]] = {
        "Digest": ("DigestInit", Mechanism(CKM.SHA256)),
        "Encrypt": ("EncryptInit", Mechanism(CKM.AES_ECB), key),
        "Decrypt": ("DecryptInit", Mechanism(CKM.AES_ECB), key),
        "Sign": ("SignInit", Mechanism(CKM.SHA256_HMAC), mac),
        "Verify": ("VerifyInit", Mechanism(CKM.SHA256_HMAC), mac),
        "FindObjects": ("FindObjectsInit", Template({CKA.LABEL: MARK})),
    }
    go_on: dict[str, tuple[Any, ...]] = {
        "Digest": ("Digest", TEXT, Room()),
        "Encrypt": ("Encrypt", TEXT, Room()),
        "Decrypt": ("Decrypt", TEXT, Room()),
        "Sign": ("Sign", TEXT, Room()),
        "Verify": ("Verify", TEXT, bytes(32)),
        "FindObjects": ("FindObjects", Numbers(4, apart=True)),
    }
    for kind, flag in CANCELLED.items():
        for cancelled, wanted in ((flag, True), (sum(CANCELLED.values()) & ~flag, False)):
            each = stand.session()
            function, *given = begin[kind]
            stand.must(function, each, *given)
            name = stand.rv("SessionCancel", each, int(cancelled))
            if name == "OPERATION_CANCEL_FAILED" and wanted:
                continue
            function, *given = go_on[kind]
            ended = stand.rv(function, each, *given) == "OPERATION_NOT_INITIALIZED"
            if name != "OK" or ended is not wanted:
                told = "by its own flag" if wanted else "by the others"
                odd.append(f"{kind} {'ended' if ended else 'not ended'} {told} ({name})")
    return "; ".join(odd) or "each by its own"


@apart.case(
    "SV-35",
    "5.13.5",
    "A key that must not sign or verify with recovery does not begin to.",
    "KEY_FUNCTION_NOT_PERMITTED, KEY_FUNCTION_NOT_PERMITTED",
    allow=(f"{NOT_HAD}, {NOT_HAD}",),
    needs=(RSA,),
)
def _sv_35(stand: Stand) -> tuple[str, str]:
    session, how = stand.user(), Mechanism(CKM.RSA_PKCS)
    public, private = rsa(stand, session, {CKA.SIGN_RECOVER: False}, {CKA.VERIFY_RECOVER: False})
    return (
        stand.rv("SignRecoverInit", session, how, private),
        stand.rv("VerifyRecoverInit", session, how, public),
    )


@apart.case(
    "SV-36",
    "4.8",
    "A key whose mechanisms are listed signs and verifies with no other.",
    "MECHANISM_INVALID, MECHANISM_INVALID, OK",
    allow=("KEY_FUNCTION_NOT_PERMITTED, KEY_FUNCTION_NOT_PERMITTED, OK",),
    needs=(RSA, HASHED_RSA),
)
def _sv_36(stand: Stand) -> tuple[str, ...]:
    session = stand.user()
    only: More = {CKA.ALLOWED_MECHANISMS: [int(CKM.SHA256_RSA_PKCS)]}
    public, private = rsa(stand, session, only, only)
    other, right_one = Mechanism(CKM.RSA_PKCS), Mechanism(CKM.SHA256_RSA_PKCS)
    return (
        stand.rv("SignInit", session, other, private),
        stand.rv("VerifyInit", session, other, public),
        stand.rv("SignInit", session, right_one, private),
    )


@apart.case(
    "EN-25",
    "5.8.1",
    "A beginning that was refused leaves nothing active.",
    "refused, OPERATION_NOT_INITIALIZED, OK, refused, OPERATION_NOT_INITIALIZED, OK",
    needs=(ECB, mechanism(CKM.SHA256_HMAC, use=BOTH)),
)
def _en_25(stand: Stand) -> tuple[str, ...]:
    session, seen = stand.user(), []
    key, mac = aes(stand, session), stand.create(session, secret())
    for use, how, good, bad in (
        ("Encrypt", Mechanism(CKM.AES_ECB), key, mac),
        ("Sign", Mechanism(CKM.SHA256_HMAC), mac, NOBODY),
    ):
        each = stand.session()
        name = stand.rv(f"{use}Init", each, how, bad)
        seen.append("refused" if name != "OK" else name)
        seen.append(stand.rv(use, each, TEXT, Room()))
        seen.append(stand.rv(f"{use}Init", each, how, good))
    return tuple(seen)


@apart.case(
    "EN-26",
    "5.2",
    "A buffer of no bytes is a buffer that is too short, and no question for the length.",
    "BUFFER_TOO_SMALL, 32, BUFFER_TOO_SMALL, 32",
    needs=(ECB, SHA256),
)
def _en_26(stand: Stand) -> tuple[str | int, ...]:
    session, rooms = stand.user(), (Room(0), Room(0))
    stand.begin("Encrypt", session, CKM.AES_ECB, aes(stand, session))
    first = stand.rv("Encrypt", session, TEXT, rooms[0])
    other = stand.session()
    stand.must("DigestInit", other, Mechanism(CKM.SHA256))
    second = stand.rv("Digest", other, TEXT, rooms[1])
    return first, rooms[0].length, second, rooms[1].length


@apart.case(
    "KM-54",
    "5.18.3",
    "A key of another type than the mechanism's is refused as the wrapping key, or the unwrapping "
    "one.",
    "WRAPPING_KEY_TYPE_INCONSISTENT, UNWRAPPING_KEY_TYPE_INCONSISTENT",
    needs=(WRAP, RSA),
)
def _km_54(stand: Stand) -> tuple[str, str]:
    session = stand.user()
    public, private = rsa(stand, session)
    key = aes(stand, session)
    first = wrapped(stand, session, public, key)[0]
    return first, unwrapped(stand, session, private, bytes(24), template())[0]
