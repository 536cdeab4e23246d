"""Verification (PKCS#11 3.2 §5.15): SV, second part."""

from ukey_harness.cases.case import Section
from ukey_harness.cases.pkcs11.keys import MESSAGE, rsa, secret
from ukey_harness.cases.pkcs11.needs import mechanism
from ukey_harness.cases.pkcs11.sign import BOTH, HASHED_RSA, RSA
from ukey_harness.cases.pkcs11.stand import Stand
from ukey_harness.cryptoki.arguments import Mechanism
from ukey_harness.cryptoki.names import CKA, CKM

verify = Section("PKCS#11 3.2", "Verification")

TOO_SHORT = 10


def flipped(signature: bytes) -> bytes:
    """Return the signature with one bit changed in its middle."""
    middle = len(signature) // 2
    return signature[:middle] + bytes([signature[middle] ^ 1]) + signature[middle + 1 :]


def verified(stand: Stand, session: int, key: int, signature: bytes, data: bytes = MESSAGE) -> str:
    """C_VerifyInit with CKM_RSA_PKCS, and C_Verify; return the name of the latter."""
    stand.begin("Verify", session, CKM.RSA_PKCS, key)
    return stand.rv("Verify", session, data, signature)


@verify.case(
    "SV-08",
    "5.15.2",
    "A signature that is wrong, or of other data, is found out.",
    "OK, SIGNATURE_INVALID, SIGNATURE_INVALID",
    needs=(RSA,),
)
def _sv_08(stand: Stand) -> tuple[str, ...]:
    session = stand.user()
    public, private = rsa(stand, session)
    signature = stand.done("Sign", session, CKM.RSA_PKCS, private, MESSAGE)
    return (
        verified(stand, session, public, signature),
        verified(stand, session, public, flipped(signature)),
        verified(stand, session, public, signature, b"other"),
    )


@verify.case(
    "SV-09",
    "5.15.2",
    "A signature of a length that none has is found out by its length.",
    "SIGNATURE_LEN_RANGE, SIGNATURE_LEN_RANGE",
    needs=(RSA,),
)
def _sv_09(stand: Stand) -> tuple[str, str]:
    session = stand.user()
    public, private = rsa(stand, session)
    signature = stand.done("Sign", session, CKM.RSA_PKCS, private, MESSAGE)
    return (
        verified(stand, session, public, signature[:TOO_SHORT]),
        verified(stand, session, public, signature + b"\0"),
    )


@verify.case(
    "SV-10",
    "5.15.2",
    "C_Verify ends the verification, whatever it finds.",
    "SIGNATURE_INVALID, OPERATION_NOT_INITIALIZED, OK, OPERATION_NOT_INITIALIZED",
    needs=(RSA,),
)
def _sv_10(stand: Stand) -> tuple[str, ...]:
    session = stand.user()
    public, private = rsa(stand, session)
    signature = stand.done("Sign", session, CKM.RSA_PKCS, private, MESSAGE)
    seen = []
    for each in (flipped(signature), signature):
        seen.append(verified(stand, session, public, each))
        seen.append(stand.rv("Verify", session, MESSAGE, each))
    return tuple(seen)


@verify.case(
    "SV-11",
    "5.15.1",
    "A key that must not verify does not begin to.",
    "KEY_FUNCTION_NOT_PERMITTED",
    needs=(RSA,),
)
def _sv_11(stand: Stand) -> str:
    session = stand.user()
    public, _ = rsa(stand, session, public={CKA.VERIFY: False})
    return stand.rv("VerifyInit", session, Mechanism(CKM.RSA_PKCS), public)


@verify.case(
    "SV-24",
    "5.15.2",
    "A MAC is verified by its whole length: a shorter one is not the start of the right one.",
    "OK, OK, SIGNATURE_LEN_RANGE, SIGNATURE_INVALID",
    needs=(mechanism(CKM.SHA256_HMAC, use=BOTH),),
)
def _sv_24(stand: Stand) -> tuple[str, ...]:
    session = stand.user()
    key = stand.create(session, secret())
    stand.begin("Sign", session, CKM.SHA256_HMAC, key)
    name, mac = stand.output("Sign", session, MESSAGE)
    seen = [name]
    for each in (mac, mac[:-1], flipped(mac) if mac else mac):
        stand.begin("Verify", session, CKM.SHA256_HMAC, key)
        seen.append(stand.rv("Verify", session, MESSAGE, each))
    return tuple(seen)


@verify.case(
    "SV-25",
    "5.15.1",
    "The private key of a pair does not verify.",
    "KEY_FUNCTION_NOT_PERMITTED",
    allow=("KEY_TYPE_INCONSISTENT | KEY_HANDLE_INVALID",),
    needs=(RSA,),
)
def _sv_25(stand: Stand) -> str:
    session = stand.user()
    return stand.rv("VerifyInit", session, Mechanism(CKM.RSA_PKCS), rsa(stand, session)[1])


@verify.case(
    "SV-27",
    "5.15.4",
    "A signature is verified over parts as over the whole.",
    "OK, SIGNATURE_INVALID",
    needs=(HASHED_RSA,),
)
def _sv_27(stand: Stand) -> tuple[str, ...]:
    session = stand.user()
    public, private = rsa(stand, session)
    signature = stand.done("Sign", session, CKM.SHA256_RSA_PKCS, private, MESSAGE)
    seen = []
    for second in (MESSAGE[7:], b"something else"):
        stand.begin("Verify", session, CKM.SHA256_RSA_PKCS, public)
        for part in (MESSAGE[:7], second):
            stand.must("VerifyUpdate", session, part)
        seen.append(stand.rv("VerifyFinal", session, signature))
    return tuple(seen)
