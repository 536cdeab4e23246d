"""Signatures, codes and keys beside what other software makes of the same (PKCS#11 3.2 §6)."""

import hashlib
import hmac

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec as curves
from cryptography.hazmat.primitives.asymmetric import padding, utils
from cryptography.hazmat.primitives.asymmetric import rsa as factoring
from cryptography.hazmat.primitives.keywrap import aes_key_wrap
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ukey_harness.cases.case import NotApplicable, Section, Unprepared
from ukey_harness.cases.pkcs11.keys import (
    MESSAGE,
    aes,
    ec,
    ec_point,
    imported_aes,
    rsa,
    rsa_bits,
    secret,
)
from ukey_harness.cases.pkcs11.keys_derived import ECDH, derived
from ukey_harness.cases.pkcs11.keys_wrapped import HOW, VALUE, WRAP
from ukey_harness.cases.pkcs11.known_ciphers import value_of
from ukey_harness.cases.pkcs11.needs import all_of, mechanism
from ukey_harness.cases.pkcs11.sign import BOTH, EC, HASHED_RSA, RSA, RSA_PAIR
from ukey_harness.cases.pkcs11.stand import Stand
from ukey_harness.cryptoki.arguments import Mechanism, ecdh, oaep, pss
from ukey_harness.cryptoki.names import CKA, CKF, CKG_MGF1_SHA1, CKG_MGF1_SHA256, CKM

known_signatures = Section("PKCS#11 3.2", "What signatures and agreements make")

DIGEST = hashlib.sha256(MESSAGE).digest()
SHORTER = 16


def rsa_public(stand: Stand, session: int, public: int) -> factoring.RSAPublicKey:
    """Return a public key of the token for other software."""
    _, values = stand.attributes(session, public, CKA.MODULUS, CKA.PUBLIC_EXPONENT)
    modulus, exponent = (int.from_bytes(each or b"", "big") for each in values)
    if not modulus or not exponent:
        raise Unprepared("C_GetAttributeValue gave no modulus or exponent of a public key")
    return factoring.RSAPublicNumbers(exponent, modulus).public_key()


def ec_public(stand: Stand, session: int, public: int) -> curves.EllipticCurvePublicKey:
    """Return a public key on P-256 for other software."""
    point = ec_point(stand, session, public)
    try:
        return curves.EllipticCurvePublicKey.from_encoded_point(curves.SECP256R1(), point)
    except ValueError as error:
        raise Unprepared(f"CKA_EC_POINT of a key is no point of its curve: {error}") from error


class Verifying:
    """C_VerifyInit and C_Verify with one key, as often as is wanted."""

    def __init__(self, stand: Stand, session: int, kind: CKM, key: int) -> None:
        self._stand, self._session, self._kind, self._key = stand, session, kind, key

    def __call__(self, data: bytes, *signatures: bytes) -> str:
        """Return what C_Verify says of these signatures: one name, or several."""
        seen = set()
        for each in signatures:
            self._stand.begin("Verify", self._session, self._kind, self._key)
            seen.add(self._stand.rv("Verify", self._session, data, each))
        return " and ".join(sorted(seen))


def each_flipped(signature: bytes) -> list[bytes]:
    """Return the signature with one bit changed, in each of its bytes."""
    return [
        signature[:at] + bytes([signature[at] ^ 1]) + signature[at + 1 :]
        for at in range(len(signature))
    ]


@known_signatures.case(
    "SV-28",
    "6.1.10",
    "An RSA signature is one to all other software, over data and over its digest.",
    "right, right",
    needs=(RSA, HASHED_RSA),
)
def _sv_28(stand: Stand) -> tuple[str, ...]:
    session = stand.user()
    public, private = rsa(stand, session)
    key = rsa_public(stand, session, public)
    hashed = stand.done("Sign", session, CKM.SHA256_RSA_PKCS, private, MESSAGE)
    plain = stand.done("Sign", session, CKM.RSA_PKCS, private, MESSAGE)
    seen = []
    try:
        key.verify(hashed, MESSAGE, padding.PKCS1v15(), hashes.SHA256())
        seen.append("right")
    except InvalidSignature:
        seen.append("none to other software")
    try:
        same = key.recover_data_from_signature(plain, padding.PKCS1v15(), None) == MESSAGE
        seen.append("right" if same else "of other data")
    except InvalidSignature:
        seen.append("none to other software")
    return tuple(seen)


@known_signatures.case(
    "SV-29",
    "6.20",
    "An HMAC is the one that every other software makes, and each of its bytes counts.",
    "right, OK, SIGNATURE_INVALID",
    needs=(mechanism(CKM.SHA256_HMAC, use=BOTH),),
)
def _sv_29(stand: Stand) -> tuple[str, ...]:
    session, value = stand.user(), bytes(range(32))
    key = stand.create(session, secret(value=value))
    right = hmac.new(value, MESSAGE, "sha256").digest()
    made = stand.done("Sign", session, CKM.SHA256_HMAC, key, MESSAGE)
    says = Verifying(stand, session, CKM.SHA256_HMAC, key)
    good, bad = says(MESSAGE, right), says(MESSAGE, *each_flipped(right))
    return "right" if made == right else "another", good, bad


@known_signatures.case(
    "SV-30",
    "5.15.2",
    "Of an RSA signature each byte counts, and the algorithm of the digest that it names.",
    "OK, SIGNATURE_INVALID, SIGNATURE_INVALID",
    needs=(RSA, HASHED_RSA),
)
def _sv_30(stand: Stand) -> tuple[str, ...]:
    session = stand.user()
    public, private = rsa(stand, session)
    kind = CKM.SHA256_RSA_PKCS
    right = stand.done("Sign", session, kind, private, MESSAGE)
    bare = stand.done("Sign", session, CKM.RSA_PKCS, private, DIGEST)  # of no algorithm
    says = Verifying(stand, session, kind, public)
    return says(MESSAGE, right), says(MESSAGE, *each_flipped(right)), says(MESSAGE, bare)


@known_signatures.case(
    "SV-31",
    "6.3.1",
    "An ECDSA signature is one to all other software; theirs is one to the token, and no other is.",
    "right, OK, SIGNATURE_INVALID, SIGNATURE_LEN_RANGE, SIGNATURE_INVALID",
    needs=(EC,),
)
def _sv_31(stand: Stand) -> tuple[str, ...]:
    session, kind = stand.user(), CKM.ECDSA
    public, private = ec(stand, session)
    key, scheme = ec_public(stand, session, public), curves.ECDSA(utils.Prehashed(hashes.SHA256()))
    made = stand.done("Sign", session, kind, private, DIGEST)
    half = len(made) // 2
    numbers = (int.from_bytes(part, "big") for part in (made[:half], made[half:]))
    try:
        key.verify(utils.encode_dss_signature(*numbers), DIGEST, scheme)
        seen = "right"
    except InvalidSignature:
        seen = "none to other software"
    says = Verifying(stand, session, kind, public)
    spoilt = [each_flipped(made)[at] for at in (0, half - 1, half, -1)]
    ours = says(DIGEST, made), says(DIGEST, *spoilt), says(DIGEST, made[:-1])
    return seen, *ours, says(DIGEST[::-1], made)


@known_signatures.case(
    "SV-32",
    "6.1.9",
    "An RSA PSS signature is one to all other software, with the hash, the mask and the salt that "
    "were asked for.",
    "right",
    needs=(RSA_PAIR, mechanism(CKM.RSA_PKCS_PSS, use=BOTH)),
)
def _sv_32(stand: Stand) -> str:
    session = stand.user()
    public, private = rsa(stand, session)
    how = pss(CKM.SHA256, CKG_MGF1_SHA256, 32)
    begun = stand.rv("SignInit", session, how, private)
    if begun in {"ARGUMENTS_BAD", "MECHANISM_PARAM_INVALID"}:
        raise NotApplicable(
            f"CKM_RSA_PKCS_PSS is listed, but not with SHA-256: C_SignInit returns CKR_{begun} "
            "(which parameters a mechanism supports varies from token to token, §5.1.6)."
        )
    if begun != "OK":
        return begun
    made = stand.made("Sign", session, DIGEST)
    pad = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
    try:
        rsa_public(stand, session, public).verify(
            made, DIGEST, pad, utils.Prehashed(hashes.SHA256())
        )
    except InvalidSignature:
        return "none to other software"
    return "right"


@known_signatures.case(
    "DE-10",
    "6.1.6",
    "What other software has encrypted with the token's RSA key, the token decrypts; what was "
    "tampered with it does not give as it was.",
    "same, not given",
    needs=(RSA,),
)
def _de_10(stand: Stand) -> tuple[str, str]:
    session = stand.user()
    public, private = rsa(stand, session)
    sealed = rsa_public(stand, session, public).encrypt(MESSAGE, padding.PKCS1v15())
    back = stand.done("Decrypt", session, CKM.RSA_PKCS, private, sealed)
    stand.begin("Decrypt", session, CKM.RSA_PKCS, private)
    # Some tokens give chosen rubbish rather than say that a padding is wrong.
    _, other = stand.output("Decrypt", session, sealed[:-1] + bytes([sealed[-1] ^ 1]))
    return "same" if back == MESSAGE else "another", "given" if other == MESSAGE else "not given"


@known_signatures.case(
    "DE-11",
    "6.1.8",
    "What other software has encrypted with RSA OAEP for the token, the token decrypts, with "
    "SHA-1 or the hash that it supports, and with no other hash.",
    "same, refused",
    needs=(RSA_PAIR, mechanism(CKM.RSA_PKCS_OAEP, use=CKF.ENCRYPT | CKF.DECRYPT)),
)
def _de_11(stand: Stand) -> tuple[str, str]:
    session = stand.user()
    public, private = rsa(stand, session)
    key = rsa_public(stand, session, public)
    seen = []
    for made_with in (hashes.SHA1(), hashes.SHA256()):  # noqa: S303 - OAEP's first hash
        pad = padding.OAEP(padding.MGF1(made_with), made_with, None)
        stand.begin("Decrypt", session, oaep(CKM.SHA_1, CKG_MGF1_SHA1), private)
        name, back = stand.output("Decrypt", session, key.encrypt(MESSAGE[:20], pad))
        opened = "same" if back == MESSAGE[:20] else "another"
        seen.append(opened if name == "OK" else "refused")
    return seen[0], seen[1]


@known_signatures.case(
    "DE-13",
    "5.10.2",
    "RSA ciphertext whose padding is wrong is told as such, or gives rubbish; nothing else.",
    "ENCRYPTED_DATA_INVALID",
    allow=("OK", "ENCRYPTED_DATA_LEN_RANGE"),
    needs=(RSA,),
)
def _de_13(stand: Stand) -> str:
    session = stand.user()
    public, private = rsa(stand, session)
    numbers = rsa_public(stand, session, public).public_numbers()
    length = rsa_bits(stand) // 8
    block = b"\0\1".ljust(length - 1, b"\xff") + b"\0"  # padded as for a signature
    sealed = pow(int.from_bytes(block, "big"), numbers.e, numbers.n).to_bytes(length, "big")
    stand.begin("Decrypt", session, CKM.RSA_PKCS, private)
    return stand.output("Decrypt", session, sealed)[0]


@known_signatures.case(
    "DE-14",
    "6.1.8",
    "What other software has encrypted with RSA OAEP, SHA-256 and a label, the token decrypts with "
    "these, and not with another label.",
    "same, refused",
    needs=(RSA_PAIR, mechanism(CKM.RSA_PKCS_OAEP, use=CKF.ENCRYPT | CKF.DECRYPT)),
)
def _de_14(stand: Stand) -> tuple[str, str]:
    session = stand.user()
    public, private = rsa(stand, session)
    pad = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), b"label")
    sealed = rsa_public(stand, session, public).encrypt(MESSAGE, pad)
    seen = []
    for label in (b"label", b"Label"):
        how = oaep(CKM.SHA256, CKG_MGF1_SHA256, label)
        begun = stand.rv("DecryptInit", session, how, private)
        if begun in {"ARGUMENTS_BAD", "MECHANISM_PARAM_INVALID"}:
            raise NotApplicable(
                "CKM_RSA_PKCS_OAEP is listed, but not with SHA-256 and a label: C_DecryptInit "
                f"returns CKR_{begun}."
            )
        if begun != "OK":
            return begun, "nothing"
        name, back = stand.output("Decrypt", session, sealed)
        opened = "same" if back == MESSAGE else "another"
        seen.append(opened if name == "OK" else "refused")
    return seen[0], seen[1]


@known_signatures.case(
    "KM-45",
    "6.16",
    "A key wrapped with AES key wrapping is what RFC 3394 makes of it.",
    "right",
    needs=(WRAP,),
)
def _km_45(stand: Stand) -> str:
    session = stand.user()
    wrapper = aes(stand, session)
    key = stand.create(session, imported_aes({CKA.LABEL: "wrapped"}, VALUE))
    blob = stand.made("WrapKey", session, Mechanism(HOW), wrapper, key)
    return "right" if blob == aes_key_wrap(value_of(stand, session, wrapper), VALUE) else "another"


@known_signatures.case(
    "KM-46",
    "6.3",
    "A key agreed upon with other software is the same on both sides; a shorter one is its end.",
    "same, same",
    needs=(ECDH,),
)
def _km_46(stand: Stand) -> tuple[str, ...]:
    session = stand.user()
    public, private = ec(stand, session)
    other = curves.generate_private_key(curves.SECP256R1())
    point = other.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    right = other.exchange(curves.ECDH(), ec_public(stand, session, public))
    seen: list[str] = []
    for length in (len(right), SHORTER):
        name, key = derived(stand, session, ecdh(point), private, {CKA.VALUE_LEN: length})
        if name != "OK":
            return (*seen, name)
        same = stand.attribute(session, key, CKA.VALUE) == right[-length:]
        seen.append("same" if same else "another")
    return tuple(seen)


@known_signatures.case(
    "SV-33",
    "5.13.6",
    "C_VerifyRecover gives no message of a signature that is none.",
    "SIGNATURE_INVALID",
    allow=("FUNCTION_NOT_SUPPORTED | MECHANISM_INVALID | KEY_FUNCTION_NOT_PERMITTED",),
    needs=(all_of(RSA_PAIR, mechanism(CKM.RSA_PKCS, use=CKF.VERIFY)),),
)
def _sv_33(stand: Stand) -> str:
    session = stand.user()
    public, private = rsa(stand, session, public={CKA.VERIFY_RECOVER: True})
    spoilt = each_flipped(stand.done("Sign", session, CKM.RSA_PKCS, private, MESSAGE))[-1]
    begun = stand.rv("VerifyRecoverInit", session, Mechanism(CKM.RSA_PKCS), public)
    return begun if begun != "OK" else stand.output("VerifyRecover", session, spoilt)[0]
