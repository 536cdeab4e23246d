"""Judges of published signatures: what each test asks of the token.

A judge raises WrongResultError or CallError where the token does not give what a valid test has.
"""

import hashlib
import struct

from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from vector_bench import Bench, Test, expect, hash_kind, hash_name, raw

from ukey_emulator.cryptoki.wire import Mechanism, Parameter
from ukey_emulator.terms import CKG, CKH, CKK, CKM

CURVES = {
    "secp192r1": "06082a8648ce3d030101",
    "secp224r1": "06052b81040021",
    "secp256r1": "06082a8648ce3d030107",
    "secp384r1": "06052b81040022",
    "secp521r1": "06052b81040023",
    "secp256k1": "06052b8104000a",
    "brainpoolP256r1": "06092b2403030208010107",
    "edwards25519": "06032b6570",
    "edwards448": "130a65647761726473343438",  # by name: RFC 8410's number would forbid a context
    "curve25519": "06032b656e",
    "curve448": "06032b656f",
}
# DigestInfo up to the digest (RFC 8017 §9.2).
DIGEST_INFOS = {
    "SHA-1": "3021300906052b0e03021a05000414",
    "SHA-224": "302d300d06096086480165030402040500041c",
    "SHA-256": "3031300d060960864801650304020105000420",
    "SHA-384": "3041300d060960864801650304020205000430",
    "SHA-512": "3051300d060960864801650304020305000440",
}
ML_DSA_SETS = {"ML-DSA-44": 1, "ML-DSA-65": 2, "ML-DSA-87": 3}
SHAKES = ("SHAKE-128", "SHAKE-256")


def curve(name: str) -> dict[str, object]:
    """Give the attribute that says which curve."""
    return {"EC_PARAMS": bytes.fromhex(CURVES[name])}


def hashed(name: str, data: bytes) -> bytes:
    """Give the digest, made here."""
    return hashlib.new(hash_name(name).lower(), data).digest()


def eddsa(bench: Bench, group: Test, test: Test) -> None:
    """EdDSA to be verified."""
    known = group["publicKey"]
    point = bytes.fromhex(known["pk"])
    key = bench.public(CKK.EC_EDWARDS, EC_POINT=point, **curve(known["curve"]))
    bench.verify(Mechanism(CKM.EDDSA, None), key, raw(test, "msg"), raw(test, "sig"))


def eddsa_signature(bench: Bench, group: Test, test: Test) -> None:
    """EdDSA, which gives one signature only, and the public key that belongs to the private."""
    which = curve(group["curve"])
    key = bench.private(CKK.EC_EDWARDS, VALUE=raw(test, "secret"), DERIVE=True, **which)
    fields = (0, raw(test, "ctx"))
    named = group["curve"] == "edwards448"
    mechanism = Mechanism(CKM.EDDSA, Parameter("EDDSA", fields) if named else None)
    expect(bench.sign(mechanism, key, raw(test, "msg")), raw(test, "sig"))
    public = bench.derive_key(Mechanism(CKM.PUB_KEY_FROM_PRIV_KEY, None), key)
    bench.verify(mechanism, public, raw(test, "msg"), raw(test, "sig"))


def ecdsa(bench: Bench, group: Test, test: Test) -> None:
    """ECDSA, of a message and of its digest; signatures in DER are r and s side by side here."""
    known = group["publicKey"]
    point = bytes.fromhex(known["uncompressed"])
    key = bench.public(CKK.EC, EC_POINT=point, **curve(known["curve"]))
    signature = raw(test, "sig")
    if group["type"] == "EcdsaVerify":
        half = len(point) // 2
        signature = b"".join(n.to_bytes(half, "big") for n in decode_dss_signature(signature))
    mechanism = Mechanism(CKM["ECDSA_" + hash_name(group["sha"])], None)
    bench.verify(mechanism, key, raw(test, "msg"), signature)
    digest = hashed(group["sha"], raw(test, "msg"))
    bench.verify(Mechanism(CKM.ECDSA, None), key, digest, signature)


def dsa(bench: Bench, group: Test, test: Test) -> None:
    """DSA, of a message and of its digest, and the public key that belongs to the private."""
    known = {
        name: bytes.fromhex(value) for name, value in group["publicKey"].items() if name in "pqgy"
    }
    parameters = {"PRIME": known["p"], "SUBPRIME": known["q"], "BASE": known["g"]}
    public = bench.public(CKK.DSA, VALUE=known["y"], **parameters)
    digest = hashed(group["sha"], raw(test, "msg"))
    for kind, data in (("DSA_" + hash_name(group["sha"]), raw(test, "msg")), ("DSA", digest)):
        bench.verify(Mechanism(CKM[kind], None), public, data, raw(test, "sig"))
    if "x" in test:
        key = bench.private(CKK.DSA, VALUE=raw(test, "x"), DERIVE=True, **parameters)
        own = bench.derive_key(Mechanism(CKM.PUB_KEY_FROM_PRIV_KEY, None), key)
        expect(bench.value(own), known["y"])


def rsa_public(bench: Bench, group: Test) -> int:
    """Bring an RSA public key."""
    known = {
        name: bytes.fromhex(group["publicKey"][name]) for name in ("modulus", "publicExponent")
    }
    return bench.public(
        CKK.RSA,
        MODULUS=known["modulus"].lstrip(b"\0"),
        PUBLIC_EXPONENT=known["publicExponent"],
        VERIFY_RECOVER=True,
    )


def rsa_private(bench: Bench, group: Test, **more: object) -> int:
    """Bring an RSA private key."""
    known = {name: bytes.fromhex(value) for name, value in group["privateKey"].items()}
    return bench.private(
        CKK.RSA,
        MODULUS=known["modulus"].lstrip(b"\0"),
        PUBLIC_EXPONENT=known["publicExponent"],
        PRIVATE_EXPONENT=known["privateExponent"].lstrip(b"\0"),
        PRIME_1=known["prime1"].lstrip(b"\0"),
        PRIME_2=known["prime2"].lstrip(b"\0"),
        **more,
    )


def rsa_signature(bench: Bench, group: Test, test: Test) -> None:
    """PKCS#1 v1.5 to be verified."""
    mechanism = Mechanism(CKM[hash_name(group["sha"]) + "_RSA_PKCS"], None)
    bench.verify(mechanism, rsa_public(bench, group), raw(test, "msg"), raw(test, "sig"))


def rsa_signing(bench: Bench, group: Test, test: Test) -> None:
    """PKCS#1 v1.5, which gives one signature only: of a message, a DigestInfo and a whole block."""
    rsa_signature(bench, group, test)
    key, public, signature = rsa_private(bench, group), rsa_public(bench, group), raw(test, "sig")
    name = group["sha"]
    mechanism = Mechanism(CKM[hash_name(name) + "_RSA_PKCS"], None)
    expect(bench.sign(mechanism, key, raw(test, "msg")), signature)
    info = bytes.fromhex(DIGEST_INFOS[name]) + hashed(name, raw(test, "msg"))
    block = b"\0\1" + b"\xff" * (len(signature) - len(info) - 3) + b"\0" + info
    for kind, data in ((CKM.RSA_PKCS, info), (CKM.RSA_X_509, block)):
        simple = Mechanism(kind, None)
        expect(bench.sign(simple, key, data), signature)
        bench.verify(simple, public, data, signature)
        expect(bench.recover(simple, public, signature), data)


def rsa_pss(bench: Bench, group: Test, test: Test) -> None:
    """PSS, of a message and of its digest."""
    mask = CKG["MGF1_" + hash_name(group["mgfSha"])]
    parameter = struct.pack("<QQQ", hash_kind(group["sha"]), mask, group["sLen"])
    key = rsa_public(bench, group)
    mechanism = Mechanism(CKM[hash_name(group["sha"]) + "_RSA_PKCS_PSS"], parameter)
    bench.verify(mechanism, key, raw(test, "msg"), raw(test, "sig"))
    digest = hashed(group["sha"], raw(test, "msg"))
    bench.verify(Mechanism(CKM.RSA_PKCS_PSS, parameter), key, digest, raw(test, "sig"))


def dsa_context(test: Test) -> Parameter:
    """Give the context of ML-DSA, and that the signature shall be the same each time."""
    return Parameter("CONTEXT", (int(CKH.DETERMINISTIC_REQUIRED), raw(test, "ctx")))


def dsa_verification(bench: Bench, group: Test, test: Test) -> None:
    """ML-DSA to be verified."""
    chosen, value = ML_DSA_SETS[bench.algorithm], bytes.fromhex(group["publicKey"])
    key = bench.public(CKK.ML_DSA, PARAMETER_SET=chosen, VALUE=value)
    mechanism = Mechanism(CKM.ML_DSA, dsa_context(test))
    bench.verify(mechanism, key, raw(test, "msg"), raw(test, "sig"))


def dsa_signature(bench: Bench, group: Test, test: Test) -> None:
    """ML-DSA, of a private key or of its seed."""
    if "privateSeed" in group:
        material = {"SEED": bytes.fromhex(group["privateSeed"])}
    else:
        material = {"VALUE": bytes.fromhex(group["privateKey"])}
    chosen = ML_DSA_SETS[bench.algorithm]
    key = bench.private(CKK.ML_DSA, PARAMETER_SET=chosen, **material)
    mechanism = Mechanism(CKM.ML_DSA, dsa_context(test))
    # Once is enough: it takes a tenth of a second.
    expect(bench.sign(mechanism, key, raw(test, "msg"), cut=False), raw(test, "sig"))


def dsa_of_digest(bench: Bench, _group: Test, test: Test) -> None:
    """HashML-DSA, of a message and of its digest."""
    name, message, signature = test["hash"], raw(test, "msg"), raw(test, "sig")
    chosen = {"PARAMETER_SET": ML_DSA_SETS[test["parameterSet"]]}
    public = bench.public(CKK.ML_DSA, VALUE=raw(test, "pk"), **chosen)
    mechanisms = []
    if name not in SHAKES:  # no number of a mechanism stands for SHAKE as a hash
        fields = (*dsa_context(test).fields, int(hash_kind(name)))
        of_digest = Mechanism(CKM.HASH_ML_DSA, Parameter("HASH_CONTEXT", fields))
        mechanisms.append((of_digest, hashed(name, message)))
    own = f"HASH_ML_DSA_{hash_name(name).replace('SHAKE_', 'SHAKE')}"
    if own in CKM.__members__:
        mechanisms.append((Mechanism(CKM[own], dsa_context(test)), message))
    for mechanism, data in mechanisms:
        bench.verify(mechanism, public, data, signature)
        if "sk" in test:
            key = bench.private(CKK.ML_DSA, VALUE=raw(test, "sk"), **chosen)
            expect(bench.sign(mechanism, key, data, cut=False), signature)
