"""Two operations in one session (PKCS#11 3.2 §5.17), parallel functions (§5.20): DU, PA."""

from ukey_harness.cases.case import Section
from ukey_harness.cases.pkcs11.digest import SHA256, right
from ukey_harness.cases.pkcs11.encrypt import ECB, TEXT
from ukey_harness.cases.pkcs11.keys import aes
from ukey_harness.cases.pkcs11.stand import Stand
from ukey_harness.cryptoki.arguments import Mechanism, Room
from ukey_harness.cryptoki.names import CKM, TokenFlag

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
    "PA-01",
    "5.20",
    "The functions for parallel work say that there is none.",
    "FUNCTION_NOT_PARALLEL, FUNCTION_NOT_PARALLEL",
)
def _pa_01(stand: Stand) -> tuple[str, str]:
    session = stand.session()
    return stand.rv("GetFunctionStatus", session), stand.rv("CancelFunction", session)
