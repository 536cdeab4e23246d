"""What holds for every function with a session (PKCS#11 3.2 §5.1.2), and C_SessionCancel: MI."""

from ukey_harness.cases.case import Section
from ukey_harness.cases.pkcs11.digest import SHA256, right
from ukey_harness.cases.pkcs11.keys import MESSAGE
from ukey_harness.cases.pkcs11.needs import version
from ukey_harness.cases.pkcs11.stand import Stand
from ukey_harness.cryptoki.arguments import Cell, Mechanism, Query, Raw, Room, Template
from ukey_harness.cryptoki.names import CKA, CKF, CKM, CKU, NOBODY

misc = Section("PKCS#11 3.2", "Session handles")


@misc.case(
    "MI-01",
    "5.1.2",
    "Every function that takes a session refuses a handle that is none.",
    "SESSION_HANDLE_INVALID",
)
def _mi_01(stand: Stand) -> str:
    stand.session()
    how, bad = Mechanism(CKM.SHA256), NOBODY
    handles = stand.module.ffi.new("CK_ULONG[2]")
    pin = stand.pin().encode()  # the right one: should a handle pass, no try is spent
    calls: tuple[tuple[object, ...], ...] = (
        ("CloseSession",),
        ("GetSessionInfo", stand.module.ffi.new("CK_SESSION_INFO *")),
        ("Login", CKU.USER, pin),
        ("Logout",),
        ("SetPIN", pin, pin),
        ("InitPIN", pin),
        ("CreateObject", Template({CKA.CLASS: 0}), Cell()),
        ("CopyObject", 1, Template(), Cell()),
        ("DestroyObject", 1),
        ("GetObjectSize", 1, Cell()),
        ("GetAttributeValue", 1, Query([CKA.LABEL])),
        ("SetAttributeValue", 1, Template({CKA.LABEL: "x"})),
        ("FindObjectsInit", Template()),
        ("FindObjects", handles, 2, Cell()),
        ("FindObjectsFinal",),
        ("EncryptInit", how, 1),
        ("Encrypt", MESSAGE, Room()),
        ("DecryptInit", how, 1),
        ("Decrypt", MESSAGE, Room()),
        ("DigestInit", how),
        ("Digest", MESSAGE, Room()),
        ("DigestUpdate", MESSAGE),
        ("DigestFinal", Room()),
        ("SignInit", how, 1),
        ("Sign", MESSAGE, Room()),
        ("VerifyInit", how, 1),
        ("Verify", MESSAGE, MESSAGE),
        ("GenerateKey", how, Template(), Cell()),
        ("GenerateKeyPair", how, Template(), Template(), Cell(), Cell()),
        ("WrapKey", how, 1, 1, Room()),
        ("UnwrapKey", how, 1, MESSAGE, Template(), Cell()),
        ("DeriveKey", how, 1, Template(), Cell()),
        ("GenerateRandom", Raw(stand.module.ffi.new("CK_BYTE[8]")), 8),
    )
    odd = []
    for function, *arguments in calls:
        name = stand.rv(str(function), bad, *arguments)
        if name != "SESSION_HANDLE_INVALID":
            odd.append(f"C_{function} {name}")
    return "; ".join(odd) or "SESSION_HANDLE_INVALID"


@misc.case(
    "MI-02",
    "5.6.5",
    "C_SessionCancel without a flag does nothing; with a digest's flag it ends the digest.",
    "OK, good, OK, OPERATION_NOT_INITIALIZED, OK",
    needs=(version(3, 0), SHA256),
)
def _mi_02(stand: Stand) -> tuple[str, ...]:
    session = stand.session()
    stand.must("DigestInit", session, Mechanism(CKM.SHA256))
    first = stand.rv("SessionCancel", session, 0)
    value = right(stand.made("Digest", session, MESSAGE), MESSAGE)
    stand.must("DigestInit", session, Mechanism(CKM.SHA256))
    second = stand.rv("SessionCancel", session, CKF.DIGEST)
    after = stand.rv("Digest", session, MESSAGE, Room())
    return first, value, second, after, stand.rv("DigestInit", session, Mechanism(CKM.SHA256))


@misc.case(
    "MI-03",
    "5.6.9",
    "C_LoginUser without a user name logs the user in, or is not supported.",
    "OK, 3",
    allow=("FUNCTION_NOT_SUPPORTED, 2",),
    needs=(version(3, 0),),
)
def _mi_03(stand: Stand) -> tuple[str | int, ...]:
    session = stand.session()
    name = stand.rv("LoginUser", session, CKU.USER, stand.pin().encode(), None, 0)
    return name, stand.state(session)
