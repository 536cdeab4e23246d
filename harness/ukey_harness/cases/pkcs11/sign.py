"""Signatures and MACs (PKCS#11 3.2 §5.13), context-specific logins (§4.10): SV, first part."""

from ukey_harness.cases.case import Changes, Section
from ukey_harness.cases.pkcs11.keys import MESSAGE, More, ec, rsa, rsa_bits
from ukey_harness.cases.pkcs11.needs import all_of, mechanism, version
from ukey_harness.cases.pkcs11.stand import Stand
from ukey_harness.cryptoki.arguments import Mechanism, Room
from ukey_harness.cryptoki.names import CKA, CKF, CKM, CKU, NOBODY

sign = Section("PKCS#11 3.2", "Signatures")

BOTH = CKF.SIGN | CKF.VERIFY
RSA_PAIR = mechanism(CKM.RSA_PKCS_KEY_PAIR_GEN, use=CKF.GENERATE_KEY_PAIR)
RSA = all_of(RSA_PAIR, mechanism(CKM.RSA_PKCS, use=BOTH))
HASHED_RSA = all_of(RSA_PAIR, mechanism(CKM.SHA256_RSA_PKCS, use=BOTH))
EC = all_of(
    mechanism(CKM.EC_KEY_PAIR_GEN, use=CKF.GENERATE_KEY_PAIR), mechanism(CKM.ECDSA, use=BOTH)
)
EACH_USE: More = {CKA.ALWAYS_AUTHENTICATE: True}


def init(stand: Stand, session: int, kind: int, key: int) -> str:
    """C_SignInit; return its name."""
    return stand.rv("SignInit", session, Mechanism(kind), key)


@sign.case(
    "SV-01",
    "5.13.1",
    "A key that must not sign does not begin to.",
    "KEY_FUNCTION_NOT_PERMITTED",
    needs=(RSA,),
)
def _sv_01(stand: Stand) -> str:
    session = stand.user()
    _, private = rsa(stand, session, {CKA.SIGN: False})
    return init(stand, session, CKM.RSA_PKCS, private)


@sign.case(
    "SV-02",
    "5.13.1",
    "A handle that is no key is refused as a key handle.",
    "KEY_HANDLE_INVALID, KEY_HANDLE_INVALID",
    needs=(RSA,),
)
def _sv_02(stand: Stand) -> tuple[str, str]:
    session = stand.user()
    return (
        init(stand, session, CKM.RSA_PKCS, NOBODY),
        init(stand, session, CKM.RSA_PKCS, 0),
    )


@sign.case(
    "SV-03",
    "5.13.1",
    "A key of another type than the mechanism's is refused.",
    "KEY_TYPE_INCONSISTENT",
    needs=(RSA_PAIR, mechanism(CKM.ECDSA, use=CKF.SIGN)),
)
def _sv_03(stand: Stand) -> str:
    session = stand.user()
    return init(stand, session, CKM.ECDSA, rsa(stand, session)[1])


@sign.case(
    "SV-04",
    "5.13.1",
    "The public key of a pair does not sign.",
    "KEY_FUNCTION_NOT_PERMITTED",
    allow=("KEY_TYPE_INCONSISTENT | KEY_HANDLE_INVALID",),
    needs=(RSA,),
)
def _sv_04(stand: Stand) -> str:
    session = stand.user()
    return init(stand, session, CKM.RSA_PKCS, rsa(stand, session)[0])


@sign.case(
    "SV-05",
    "5.13.1",
    "A session has one signature at a time, and the first one goes on.",
    "OK, OPERATION_ACTIVE, OK",
    needs=(RSA,),
)
def _sv_05(stand: Stand) -> tuple[str, ...]:
    session = stand.user()
    _, private = rsa(stand, session)
    names = [init(stand, session, CKM.RSA_PKCS, private) for _ in range(2)]
    return *names, stand.output("Sign", session, MESSAGE)[0]


@sign.case(
    "SV-06",
    "5.2",
    "Asking for the length and a buffer that is too short leave the signature as it was.",
    "OK, enough, BUFFER_TOO_SMALL, OK, right, OPERATION_NOT_INITIALIZED",
    needs=(RSA,),
)
def _sv_06(stand: Stand) -> tuple[str, ...]:
    session = stand.user()
    public, private = rsa(stand, session)
    stand.begin("Sign", session, CKM.RSA_PKCS, private)
    asked, short, done = Room(None), Room(1), Room()
    first = stand.rv("Sign", session, MESSAGE, asked)
    second = stand.rv("Sign", session, MESSAGE, short)
    third = stand.rv("Sign", session, MESSAGE, done)
    again = stand.rv("Sign", session, MESSAGE, Room())
    stand.begin("Verify", session, CKM.RSA_PKCS, public)
    verified = stand.rv("Verify", session, MESSAGE, done.data)
    enough = asked.length >= done.length and short.length >= done.length and not short.overrun
    return (
        first,
        "enough" if enough else f"{asked.length} and {short.length} for {done.length}",
        second,
        third,
        "right" if verified == "OK" else verified,
        again,
    )


@sign.case(
    "SV-07",
    "6.1.6",
    "PKCS #1 v1.5 signs 11 bytes less than the modulus has, and refuses more.",
    "OK, DATA_LEN_RANGE",
    needs=(RSA,),
)
def _sv_07(stand: Stand) -> tuple[str, str]:
    session = stand.user()
    _, private = rsa(stand, session)
    most = rsa_bits(stand) // 8 - 11
    names = []
    for length in (most, most + 1):
        stand.begin("Sign", session, CKM.RSA_PKCS, private)
        names.append(stand.rv("Sign", session, bytes(length), Room()))
    return names[0], names[1]


@sign.case(
    "SV-12",
    "5.13.4",
    "Data signed in parts has the signature of the whole, where that is no matter of chance.",
    "same, right",
    needs=(HASHED_RSA,),
)
def _sv_12(stand: Stand) -> tuple[str, str]:
    session = stand.user()
    public, private = rsa(stand, session)
    whole = stand.done("Sign", session, CKM.SHA256_RSA_PKCS, private, MESSAGE)
    stand.begin("Sign", session, CKM.SHA256_RSA_PKCS, private)
    for part in (MESSAGE[:7], MESSAGE[7:]):
        stand.must("SignUpdate", session, part)
    parts = stand.made("SignFinal", session)
    stand.begin("Verify", session, CKM.SHA256_RSA_PKCS, public)
    verified = stand.rv("Verify", session, MESSAGE, whole)
    return (
        "same" if parts == whole else "another signature",
        "right" if verified == "OK" else verified,
    )


@sign.case(
    "SV-13",
    "5.13.2",
    "C_Sign does not finish what C_SignUpdate has begun.",
    "OPERATION_ACTIVE",
    allow=("OPERATION_NOT_INITIALIZED | FUNCTION_FAILED",),
    needs=(HASHED_RSA,),
)
def _sv_13(stand: Stand) -> str:
    session = stand.user()
    _, private = rsa(stand, session)
    stand.begin("Sign", session, CKM.SHA256_RSA_PKCS, private)
    stand.must("SignUpdate", session, MESSAGE)
    return stand.rv("Sign", session, MESSAGE, Room())


@sign.case(
    "SV-14",
    "5.13.3",
    "A mechanism for one part alone refuses parts, or takes them together as one; it never signs "
    "something else.",
    "refused",
    allow=("signed the whole",),
    needs=(RSA,),
)
def _sv_14(stand: Stand) -> str:
    session = stand.user()
    public, private = rsa(stand, session)
    begun = init(stand, session, CKM.RSA_PKCS, private)
    name = stand.rv("SignUpdate", session, MESSAGE[:7]) if begun == "OK" else begun
    refusals = {
        "OPERATION_NOT_INITIALIZED", "FUNCTION_NOT_SUPPORTED", "DATA_LEN_RANGE", "FUNCTION_FAILED",
        "KEY_FUNCTION_NOT_PERMITTED", "MECHANISM_INVALID",
    }  # fmt: skip
    if name in refusals:
        return "refused"
    if name != "OK":
        return name
    stand.must("SignUpdate", session, MESSAGE[7:])
    final, signature = stand.output("SignFinal", session)
    if final != "OK":
        return "refused" if final in refusals else final
    stand.begin("Verify", session, CKM.RSA_PKCS, public)
    verified = stand.rv("Verify", session, MESSAGE, signature)
    return "signed the whole" if verified == "OK" else f"signed something else ({verified})"


@sign.case(
    "SV-15",
    "4.10",
    "A key that wants a PIN for each use does not sign without it.",
    "OK, USER_NOT_LOGGED_IN, untouched",
    allow=("USER_NOT_LOGGED_IN, *, untouched",),
    needs=(RSA,),
)
def _sv_15(stand: Stand) -> tuple[str, ...]:
    session, room = stand.user(), Room()
    _, private = rsa(stand, session, EACH_USE)
    begun = init(stand, session, CKM.RSA_PKCS, private)
    name = stand.rv("Sign", session, MESSAGE, room)
    return begun, name, "untouched" if room.untouched else "written to"


@sign.case(
    "SV-16",
    "4.10",
    "A context-specific login allows one operation, and no second one.",
    "OK, OK, OK, USER_NOT_LOGGED_IN",
    needs=(RSA,),
)
def _sv_16(stand: Stand) -> tuple[str, ...]:
    session = stand.user()
    _, private = rsa(stand, session, EACH_USE)
    stand.begin("Sign", session, CKM.RSA_PKCS, private)
    entered = stand.login(session, CKU.CONTEXT_SPECIFIC)
    name = stand.output("Sign", session, MESSAGE)[0]
    again = init(stand, session, CKM.RSA_PKCS, private)
    return entered, name, again, stand.output("Sign", session, MESSAGE)[0]


@sign.case(
    "SV-17",
    "4.10",
    "A key that wants no PIN for each use takes none, and its operation goes on.",
    "OPERATION_NOT_INITIALIZED, OK",
    needs=(RSA,),
)
def _sv_17(stand: Stand) -> tuple[str, str]:
    session = stand.user()
    _, private = rsa(stand, session)
    stand.begin("Sign", session, CKM.RSA_PKCS, private)
    name = stand.login(session, CKU.CONTEXT_SPECIFIC)
    return name, stand.output("Sign", session, MESSAGE)[0]


@sign.case(
    "SV-18",
    "4.10",
    "A wrong PIN at a context-specific login allows nothing, and nobody is logged out.",
    "PIN_INCORRECT, USER_NOT_LOGGED_IN, 3",
    changes=Changes.PIN,
    needs=(RSA,),
)
def _sv_18(stand: Stand) -> tuple[str | int, ...]:
    session = stand.user()
    _, private = rsa(stand, session, EACH_USE)
    stand.begin("Sign", session, CKM.RSA_PKCS, private)
    name = stand.login(session, CKU.CONTEXT_SPECIFIC, stand.wrong_pin())
    refused = stand.output("Sign", session, MESSAGE)[0]
    seen = name, refused, stand.state(session)
    stand.rv("Logout", session)
    stand.login(session)
    return seen


@sign.case(
    "SV-19",
    "5.13.6",
    "What C_SignRecover signs, C_VerifyRecover gives back; a token may have neither.",
    "OK, same",
    allow=("FUNCTION_NOT_SUPPORTED | MECHANISM_INVALID | KEY_FUNCTION_NOT_PERMITTED",),
    needs=(RSA_PAIR,),
)
def _sv_19(stand: Stand) -> tuple[str, ...]:
    session, how = stand.user(), Mechanism(CKM.RSA_PKCS)
    public, private = rsa(stand, session, {CKA.SIGN_RECOVER: True}, {CKA.VERIFY_RECOVER: True})
    begun = stand.rv("SignRecoverInit", session, how, private)
    if begun != "OK":
        return (begun,)
    signature = stand.made("SignRecover", session, MESSAGE)
    stand.must("VerifyRecoverInit", session, how, public)
    back = stand.made("VerifyRecover", session, signature)
    return begun, "same" if back == MESSAGE else "something else"


@sign.case(
    "SV-20",
    "5.13",
    "A key that is destroyed while it signs is gone, and the session can sign with another.",
    "gone, OK",
    needs=(RSA,),
)
def _sv_20(stand: Stand) -> tuple[str, str]:
    session = stand.user()
    _, private = rsa(stand, session)
    _, other = rsa(stand, session)
    stand.begin("Sign", session, CKM.RSA_PKCS, private)
    stand.must("DestroyObject", session, private)
    stand.rv("Sign", session, MESSAGE, Room())  # it may succeed or fail, and ends the operation
    gone = init(stand, session, CKM.RSA_PKCS, private)
    if gone == "OK":
        return "signs still", gone
    stand.begin("Sign", session, CKM.RSA_PKCS, other)
    return "gone", stand.output("Sign", session, MESSAGE)[0]


@sign.case(
    "SV-21",
    "6.3.1",
    "An ECDSA signature is r and s, each as long as the group's order.",
    "64, right",
    needs=(EC,),
)
def _sv_21(stand: Stand) -> tuple[int | str, ...]:
    session = stand.user()
    public, private = ec(stand, session)
    for _ in range(4):  # a number that happens to be short must not shorten the signature
        signature = stand.done("Sign", session, CKM.ECDSA, private, bytes(range(32)))
        stand.begin("Verify", session, CKM.ECDSA, public)
        verified = stand.rv("Verify", session, bytes(range(32)), signature)
        if (len(signature), verified) != (64, "OK"):
            return len(signature), verified
    return len(signature), "right"


@sign.case(
    "SV-22",
    "5.13.1",
    "C_SignInit with a NULL mechanism ends the signature.",
    "OK, OPERATION_NOT_INITIALIZED, OK",
    allow=("OPERATION_CANCEL_FAILED, OK, OK",),
    needs=(version(3, 0), RSA),
)
def _sv_22(stand: Stand) -> tuple[str, ...]:
    session = stand.user()
    _, private = rsa(stand, session)
    stand.begin("Sign", session, CKM.RSA_PKCS, private)
    return (
        stand.rv("SignInit", session, None, private),
        stand.rv("Sign", session, MESSAGE, Room()),
        init(stand, session, CKM.RSA_PKCS, private),
    )


@sign.case(
    "SV-23",
    "5.6.10",
    "A private key on the token cannot be used by its handle after the logout.",
    "KEY_HANDLE_INVALID",
    allow=("USER_NOT_LOGGED_IN | OBJECT_HANDLE_INVALID",),
    needs=(EC,),
)
def _sv_23(stand: Stand) -> str:
    session = stand.user()
    _, private = ec(stand, session, {CKA.TOKEN: True})
    stand.must("Logout", session)
    name = init(stand, session, CKM.ECDSA, private)
    stand.enter(session)
    for handle in stand.find(session, {CKA.TOKEN: True, CKA.LABEL: "ukeylab-case"}):
        stand.rv("DestroyObject", session, handle)
    return name


@sign.case(
    "SV-26",
    "5.6.10",
    "A signature that was begun before the logout is finished, or ended by it; never by a key that "
    "wanted its PIN.",
    "refused",
    allow=("OK",),
    needs=(RSA,),
)
def _sv_26(stand: Stand) -> str:
    session = stand.user()
    _, private = rsa(stand, session)
    stand.begin("Sign", session, CKM.RSA_PKCS, private)
    stand.must("Logout", session)
    name = stand.rv("Sign", session, MESSAGE, Room())
    refused = {"USER_NOT_LOGGED_IN", "OPERATION_NOT_INITIALIZED", "KEY_HANDLE_INVALID"}
    return "refused" if name in refused else name
