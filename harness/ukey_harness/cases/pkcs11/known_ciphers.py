"""Ciphertexts and digests beside what other software makes of the same (PKCS#11 3.2 §6)."""

import hashlib
from collections.abc import Iterator

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.padding import PKCS7

from ukey_harness.cases.case import NotApplicable, Section, Unprepared
from ukey_harness.cases.pkcs11.encrypt import BOTH, CBC, ECB, GENERATED, ODD, PAD, TEXT, padded_cbc
from ukey_harness.cases.pkcs11.keys import IV, MESSAGE, aes
from ukey_harness.cases.pkcs11.needs import mechanism
from ukey_harness.cases.pkcs11.stand import Stand
from ukey_harness.cryptoki.arguments import Mechanism, gcm
from ukey_harness.cryptoki.names import CKA, CKF, CKM

known_ciphers = Section("PKCS#11 3.2", "What ciphers and digests make")

GCM = mechanism(CKM.AES_GCM, use=BOTH)
HEADER = b"header"
NONCE = bytes(range(12))
HASHES = {
    CKM.SHA_1: "sha1", CKM.SHA224: "sha224", CKM.SHA256: "sha256", CKM.SHA384: "sha384",
    CKM.SHA512: "sha512", CKM.SHA512_224: "sha512_224", CKM.SHA512_256: "sha512_256",
    CKM.SHA3_224: "sha3_224", CKM.SHA3_256: "sha3_256", CKM.SHA3_384: "sha3_384",
    CKM.SHA3_512: "sha3_512",
}  # fmt: skip
LONG = bytes(index % 251 for index in range(5003))
PARTS = (1, 15, 16, 17, 200)  # bytes, again and again
BLOCKS = (16, 48, 160)  # without padding a token may want whole blocks


def value_of(stand: Stand, session: int, key: int) -> bytes:
    """Return the value of a key that is neither sensitive nor kept in."""
    value = stand.attribute(session, key, CKA.VALUE)
    if not value:
        raise Unprepared("C_GetAttributeValue gave no CKA_VALUE of a key that is not sensitive")
    return value


def ciphers(value: bytes) -> Iterator[tuple[CKM, Mechanism, bytes, bytes]]:
    """Give for AES in each mode: its mechanism, a plaintext, the ciphertext by other software."""
    plain = Cipher(algorithms.AES(value), modes.ECB())  # noqa: S305 - the mechanism's mode
    chained = Cipher(algorithms.AES(value), modes.CBC(IV))
    pad = PKCS7(128).padder()
    padded = pad.update(ODD) + pad.finalize()
    for kind, how, text, cipher, whole in (
        (CKM.AES_ECB, Mechanism(CKM.AES_ECB), TEXT, plain, TEXT),
        (CKM.AES_CBC, Mechanism(CKM.AES_CBC, IV), TEXT, chained, TEXT),
        (CKM.AES_CBC_PAD, padded_cbc(), ODD, chained, padded),
    ):
        yield kind, how, text, cipher.encryptor().update(whole)


@known_ciphers.case(
    "EN-22",
    "6.11",
    "The ciphertext of AES is the one that every other AES makes, and its plaintext comes back, "
    "for keys of all three sizes.",
    "right",
    needs=(GENERATED,),
)
def _en_22(stand: Stand) -> str:
    session, odd, tried = stand.user(), [], 0
    for size in (16, 24, 32):
        key = aes(stand, session, size=size)
        for kind, how, text, right in ciphers(value_of(stand, session, key)):
            if kind not in stand.mechanisms or BOTH & ~stand.mechanism_flags(kind):
                continue
            tried += 1
            if stand.done("Encrypt", session, how, key, text) != right:
                odd.append(f"CKM_{kind.name} encrypts otherwise")
            if stand.done("Decrypt", session, how, key, right) != text:
                odd.append(f"CKM_{kind.name} decrypts otherwise")
    if not tried:
        raise NotApplicable("The token lists none of CKM_AES_ECB, CKM_AES_CBC, CKM_AES_CBC_PAD.")
    return "; ".join(dict.fromkeys(odd)) or "right"


@known_ciphers.case(
    "EN-23",
    "6.13",
    "AES-GCM seals data, header and nonce with the tag that every other GCM makes, as long as was "
    "asked for.",
    "right, right, cut to 12 bytes",
    needs=(GENERATED, GCM),
)
def _en_23(stand: Stand) -> tuple[str, ...]:
    session = stand.user()
    key = aes(stand, session)
    software = AESGCM(value_of(stand, session, key))
    right = software.encrypt(NONCE, MESSAGE, HEADER)
    sealed = stand.done("Encrypt", session, gcm(NONCE, HEADER), key, MESSAGE)
    back = stand.done("Decrypt", session, gcm(NONCE, HEADER), key, right)
    short = stand.done("Encrypt", session, gcm(NONCE, HEADER, 96), key, MESSAGE)
    return (
        "right" if sealed == right else "sealed otherwise",
        "right" if back == MESSAGE else "opened otherwise",
        "cut to 12 bytes" if short == right[:-4] else f"{len(short) - len(MESSAGE)} bytes of tag",
    )


@known_ciphers.case(
    "DE-08",
    "5.10.2",
    "What AES-GCM has sealed is not opened when header, nonce or ciphertext is another.",
    "refused, refused, refused, opened",
    needs=(GENERATED, GCM),
)
def _de_08(stand: Stand) -> tuple[str, ...]:
    session = stand.user()
    key = aes(stand, session)
    sealed = AESGCM(value_of(stand, session, key)).encrypt(NONCE, MESSAGE, HEADER)
    seen = []
    for how, text in (
        (gcm(NONCE, b"Header"), sealed),
        (gcm(NONCE[::-1], HEADER), sealed),
        (gcm(NONCE, HEADER), bytes([sealed[0] ^ 1]) + sealed[1:]),
        (gcm(NONCE, HEADER), sealed),
    ):
        each = stand.session()
        stand.begin("Decrypt", each, how, key)
        name, back = stand.output("Decrypt", each, text)
        opened = "opened" if back == MESSAGE else "opened as another"
        seen.append(opened if name == "OK" else "refused")
    return tuple(seen)


@known_ciphers.case(
    "DE-09",
    "5.10.2",
    "A padding is looked at as a whole: one whose length is too great, is zero, or whose other "
    "bytes are not the same, is none.",
    "refused, refused, refused, 4 bytes",
    needs=(ECB, PAD),
)
def _de_09(stand: Stand) -> tuple[str, ...]:
    session = stand.user()
    key = aes(stand, session)
    seen = []
    for ending in (b"\x01\x02", b"\x11" * 16, b"\x00", b"\x0c" * 12):
        block = ending.rjust(16, b"x")
        masked = bytes(one ^ other for one, other in zip(block, IV, strict=True))
        sealed = stand.done("Encrypt", session, CKM.AES_ECB, key, masked)
        each = stand.session()
        stand.begin("Decrypt", each, padded_cbc(), key)
        name, back = stand.output("Decrypt", each, sealed)
        seen.append(f"{len(back)} bytes" if name == "OK" else "refused")
    return tuple(seen)


def in_parts(stand: Stand, operation: str, session: int, data: bytes, size: int) -> bytes:
    """Carry out C_<operation>Update as often as it takes, and Final; all must succeed."""
    done = [
        stand.made(f"{operation}Update", session, data[at : at + size])
        for at in range(0, len(data), size)
    ]
    return b"".join([*done, stand.made(f"{operation}Final", session)])


@known_ciphers.case(
    "EN-24",
    "5.8.3",
    "However data is cut into parts, ciphertext and plaintext are those of the whole.",
    "same",
    needs=(CBC, PAD),
)
def _en_24(stand: Stand) -> str:
    session, odd = stand.user(), []
    key = aes(stand, session)
    for how, text, sizes in (
        (Mechanism(CKM.AES_CBC, IV), LONG[:512], BLOCKS),
        (padded_cbc(), LONG[:500], PARTS),
    ):
        whole = stand.done("Encrypt", session, how, key, text)
        for size in sizes:
            stand.begin("Encrypt", session, how, key)
            if in_parts(stand, "Encrypt", session, text, size) != whole:
                odd.append(f"encrypted otherwise in parts of {size}")
            stand.begin("Decrypt", session, how, key)
            if in_parts(stand, "Decrypt", session, whole, size) != text:
                odd.append(f"decrypted otherwise in parts of {size}")
    return "; ".join(odd) or "same"


@known_ciphers.case(
    "DG-11",
    "5.12",
    "Each digest that the token lists is the one that every other software makes, of a short and "
    "of a long message, whole and in parts.",
    "right",
)
def _dg_11(stand: Stand) -> str:
    session, odd, tried = stand.session(), [], 0
    for kind, name in HASHES.items():
        if kind not in stand.mechanisms or not stand.mechanism_flags(kind) & CKF.DIGEST:
            continue
        tried += 1
        for text in (MESSAGE, LONG):
            right = hashlib.new(name, text).digest()
            if stand.digest(session, text, kind) != right:
                odd.append(f"CKM_{kind.name} of {len(text)} bytes")
        stand.must("DigestInit", session, Mechanism(kind))
        for at in range(0, len(LONG), 1000):
            stand.must("DigestUpdate", session, LONG[at : at + 1000])
        if stand.made("DigestFinal", session) != right:
            odd.append(f"CKM_{kind.name} in parts")
    if not tried:
        raise NotApplicable("The token lists no digest (C_GetMechanismList).")
    return "; ".join(odd) or "right"
