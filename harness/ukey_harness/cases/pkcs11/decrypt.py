"""Decryption (PKCS#11 3.2 §5.10), and encryption with RSA (§6.1): DE."""

from ukey_harness.cases.case import NotApplicable, Section
from ukey_harness.cases.pkcs11.encrypt import BOTH, ECB, GENERATED, PAD, padded_cbc
from ukey_harness.cases.pkcs11.keys import MESSAGE, aes, rsa, rsa_bits
from ukey_harness.cases.pkcs11.needs import all_of, mechanism
from ukey_harness.cases.pkcs11.stand import Stand
from ukey_harness.cryptoki.arguments import Mechanism, Room, gcm, oaep
from ukey_harness.cryptoki.names import CKA, CKF, CKG_MGF1_SHA256, CKM

decrypt = Section("PKCS#11 3.2", "Decryption")

RSA_PAIR = mechanism(CKM.RSA_PKCS_KEY_PAIR_GEN, use=CKF.GENERATE_KEY_PAIR)
RSA = all_of(RSA_PAIR, mechanism(CKM.RSA_PKCS, use=BOTH))
WRONG_LENGTH = 10


@decrypt.case(
    "DE-01",
    "5.10.2",
    "Ciphertext whose padding is wrong is refused; what stands in the buffer then is no plaintext "
    "that was told.",
    "ENCRYPTED_DATA_INVALID, untouched",
    allow=("ENCRYPTED_DATA_INVALID, written to",),
    needs=(PAD, ECB),
)
def _de_01(stand: Stand) -> tuple[str, str]:
    session = stand.user()
    key = aes(stand, session)
    # 16 bytes of zero as the plaintext of the block: no padding ends in a zero.
    block = stand.done("Encrypt", session, CKM.AES_ECB, key, bytes(range(16)))
    stand.begin("Decrypt", session, padded_cbc(), key)
    room = Room(64)
    name = stand.rv("Decrypt", session, block, room)
    return name, "untouched" if room.untouched else "written to"


@decrypt.case(
    "DE-02",
    "5.10.2",
    "Ciphertext that is no whole number of blocks is refused.",
    "ENCRYPTED_DATA_LEN_RANGE",
    needs=(ECB,),
)
def _de_02(stand: Stand) -> str:
    session = stand.user()
    stand.begin("Decrypt", session, CKM.AES_ECB, aes(stand, session))
    return stand.rv("Decrypt", session, bytes(15), Room())


@decrypt.case(
    "DE-03",
    "5.10.2",
    "Ciphertext whose tag is wrong is refused, and nothing of it is given.",
    "AEAD_DECRYPT_FAILED, untouched, same",
    allow=("ENCRYPTED_DATA_INVALID | SIGNATURE_INVALID, untouched, same",),
    needs=(GENERATED, mechanism(CKM.AES_GCM, use=BOTH)),
)
def _de_03(stand: Stand) -> tuple[str, ...]:
    session = stand.user()
    key = aes(stand, session)
    sealed = stand.done("Encrypt", session, gcm(bytes(12), b"header"), key, MESSAGE)
    stand.begin("Decrypt", session, gcm(bytes(12), b"header"), key)
    room = Room(len(sealed))
    name = stand.rv("Decrypt", session, sealed[:-1] + bytes([sealed[-1] ^ 1]), room)
    # Another session: whether the refusal ended the operation is not this case's question.
    back = stand.done("Decrypt", stand.session(), gcm(bytes(12), b"header"), key, sealed)
    return (
        name,
        "untouched" if room.untouched else "written to",
        "same" if back == MESSAGE else "another plaintext",
    )


@decrypt.case(
    "DE-04",
    "5.10.2",
    "RSA ciphertext is as long as the modulus, and refused otherwise.",
    "ENCRYPTED_DATA_LEN_RANGE",
    needs=(RSA,),
)
def _de_04(stand: Stand) -> str:
    session = stand.user()
    _, private = rsa(stand, session)
    stand.begin("Decrypt", session, CKM.RSA_PKCS, private)
    return stand.rv("Decrypt", session, bytes(WRONG_LENGTH), Room())


@decrypt.case(
    "DE-05",
    "5.10.1",
    "A key that must not decrypt does not begin to.",
    "KEY_FUNCTION_NOT_PERMITTED",
    needs=(ECB,),
)
def _de_05(stand: Stand) -> str:
    session = stand.user()
    key = aes(stand, session, {CKA.DECRYPT: False})
    return stand.rv("DecryptInit", session, Mechanism(CKM.AES_ECB), key)


@decrypt.case(
    "DE-06",
    "6.1.6",
    "PKCS #1 v1.5 takes 11 bytes less than the modulus has, and refuses more.",
    "OK, DATA_LEN_RANGE",
    needs=(RSA,),
)
def _de_06(stand: Stand) -> tuple[str, str]:
    session = stand.user()
    public, _ = rsa(stand, session)
    most = rsa_bits(stand) // 8 - 11
    names = []
    for length in (most, most + 1):
        stand.begin("Encrypt", session, CKM.RSA_PKCS, public)
        names.append(stand.rv("Encrypt", session, bytes(length), Room()))
    return names[0], names[1]


@decrypt.case(
    "DE-07",
    "6.1.8",
    "What RSA OAEP with SHA-256 encrypts, it decrypts.",
    "OK, same",
    needs=(RSA_PAIR, mechanism(CKM.RSA_PKCS_OAEP, use=BOTH)),
)
def _de_07(stand: Stand) -> tuple[str, str]:
    session = stand.user()
    public, private = rsa(stand, session)
    how = oaep(CKM.SHA256, CKG_MGF1_SHA256)
    begun = stand.rv("EncryptInit", session, how, public)
    if begun in {"ARGUMENTS_BAD", "MECHANISM_PARAM_INVALID"}:
        raise NotApplicable(
            f"CKM_RSA_PKCS_OAEP is listed, but not with SHA-256: C_EncryptInit returns CKR_{begun} "
            "(which parameters a mechanism supports varies from token to token, §5.1.6)."
        )
    if begun != "OK":
        return begun, "nothing"
    sealed = stand.made("Encrypt", session, MESSAGE)
    back = stand.done("Decrypt", session, oaep(CKM.SHA256, CKG_MGF1_SHA256), private, sealed)
    return begun, "same" if back == MESSAGE and sealed != MESSAGE else "another plaintext"
