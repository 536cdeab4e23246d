"""Two operations in one session (PKCS#11 3.2 §5.17), parallel functions (§5.20): DU, PA."""

from ukey_harness.cases.case import Section
from ukey_harness.cases.pkcs11.digest import SHA256, right
from ukey_harness.cases.pkcs11.encrypt import ECB, TEXT
from ukey_harness.cases.pkcs11.keys import aes, secret
from ukey_harness.cases.pkcs11.needs import mechanism
from ukey_harness.cases.pkcs11.stand import Stand
from ukey_harness.cryptoki.arguments import Mechanism, Room
from ukey_harness.cryptoki.names import CKF, CKM, TokenFlag

dual = Section("PKCS#11 3.2", "Two operations at once")


@dual.case(
    "DU-01",
    "5.17.1",
    "C_DigestEncryptUpdate does what both would do alone; a token may not support it.",
    "OK, OK, same ciphertext, good",
    allow=("OPERATION_ACTIVE, *", "OK, FUNCTION_NOT_SUPPORTED"),
    needs=(SHA256, ECB),
)
def _du_01(stand: Stand) -> tuple[str, ...]:
    session = stand.user()
    key = aes(stand, session)
    whole = stand.done("Encrypt", session, CKM.AES_ECB, key, TEXT)
    stand.must("DigestInit", session, Mechanism(CKM.SHA256))
    begun = stand.rv("EncryptInit", session, Mechanism(CKM.AES_ECB), key)
    name, part = stand.output("DigestEncryptUpdate", session, TEXT)
    if name != "OK":
        return begun, name
    part += stand.made("EncryptFinal", session)
    same = "same ciphertext" if part == whole else "another ciphertext"
    return begun, name, same, right(stand.made("DigestFinal", session), TEXT)


@dual.case(
    "DU-02",
    "3.2",
    "CKF_DUAL_CRYPTO_OPERATIONS says whether a session can have two cryptographic operations.",
    "agree",
    needs=(SHA256, ECB),
)
def _du_02(stand: Stand) -> str:
    session = stand.user()
    key = aes(stand, session)
    says = TokenFlag.DUAL_CRYPTO_OPERATIONS in stand.token_flags()
    stand.must("DigestInit", session, Mechanism(CKM.SHA256))
    name = stand.rv("EncryptInit", session, Mechanism(CKM.AES_ECB), key)
    if says and name == "OK":
        done = stand.rv("DigestEncryptUpdate", session, TEXT, Room())
        return "agree" if done == "OK" else f"the flag is set, C_DigestEncryptUpdate gives {done}"
    # A session that begins both without the flag offers more than it has to; it must work then.
    if name == "OK":
        both = stand.output("Encrypt", session, TEXT)[0], stand.output("Digest", session, TEXT)[0]
        return "agree" if both == ("OK", "OK") else f"both begun, then {both}"
    return "agree" if not says and name == "OPERATION_ACTIVE" else f"flag {says}, then {name}"


@dual.case(
    "DU-03",
    "5.17.2",
    "C_DecryptDigestUpdate, C_SignEncryptUpdate and C_DecryptVerifyUpdate do what both would do "
    "alone; a token may not support them.",
    "OK, same, good, OK, same, same, OK, same, OK",
    allow=("not supported, not supported, not supported",),
    needs=(SHA256, ECB, mechanism(CKM.SHA256_HMAC, use=CKF.SIGN | CKF.VERIFY)),
)
def _du_03(stand: Stand) -> tuple[str, ...]:
    session = stand.user()
    key, mac = aes(stand, session), stand.create(session, secret())
    sealed = stand.done("Encrypt", session, CKM.AES_ECB, key, TEXT)
    code = stand.done("Sign", session, CKM.SHA256_HMAC, mac, TEXT)
    seen: list[str] = []
    for first, other, function, given, wants in (
        (("Digest", CKM.SHA256), "Decrypt", "DecryptDigestUpdate", sealed, TEXT),
        (("Sign", CKM.SHA256_HMAC, mac), "Encrypt", "SignEncryptUpdate", TEXT, sealed),
        (("Verify", CKM.SHA256_HMAC, mac), "Decrypt", "DecryptVerifyUpdate", sealed, TEXT),
    ):
        kind, how, *keys = first
        each = stand.session()
        begun = stand.rv(f"{kind}Init", each, Mechanism(int(how)), *keys)
        if begun == "OK":
            begun = stand.rv(f"{other}Init", each, Mechanism(CKM.AES_ECB), key)
        name, out = stand.output(function, each, given) if begun == "OK" else (begun, b"")
        if name in {"FUNCTION_NOT_SUPPORTED", "OPERATION_ACTIVE"}:
            seen.append("not supported")
            continue
        same = "same" if out + stand.output(f"{other}Final", each)[1] == wants else "another"
        seen += [name, same, _ended(stand, each, str(kind), code)]
    return tuple(seen)


def _ended(stand: Stand, session: int, kind: str, code: bytes) -> str:
    """End the operation that went along; return whether it has had the whole plaintext."""
    if kind == "Verify":
        return stand.rv("VerifyFinal", session, code)
    result = stand.output(f"{kind}Final", session)[1]
    if kind == "Digest":
        return right(result, TEXT)
    return "same" if result == code else "another"


@dual.case(
    "PA-01",
    "5.20",
    "The functions for parallel work say that there is none.",
    "FUNCTION_NOT_PARALLEL, FUNCTION_NOT_PARALLEL",
)
def _pa_01(stand: Stand) -> tuple[str, str]:
    session = stand.session()
    return stand.rv("GetFunctionStatus", session), stand.rv("CancelFunction", session)
