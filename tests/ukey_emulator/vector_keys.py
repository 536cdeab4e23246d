"""Judges of published key agreements, derivations and encapsulations.

A judge raises WrongResultError or CallError where the token does not give what a valid test has.
"""

import struct

from vector_bench import Bench, Test, expect, hash_kind, hash_name, raw
from vector_signatures import curve, rsa_private

from ukey_emulator.cryptoki.wire import Attribute, Mechanism, Parameter
from ukey_emulator.terms import CKA, CKD, CKF, CKG, CKK, CKM, CKO, CKP

ML_KEM_SETS = {"ML-KEM-512": 1, "ML-KEM-768": 2, "ML-KEM-1024": 3}
# CK_PRF_DATA_TYPE (PKCS#11 3.2 §6.42.3).
ITERATION, COUNTER, BYTES = 1, 2, 4


def hkdf(bench: Bench, _group: Test, test: Test) -> None:
    """HKDF, to data and to a key."""
    prf = int(hash_kind(bench.algorithm.removeprefix("HKDF-")))
    salt = (int(CKF.HKDF_SALT_DATA), raw(test, "salt"), 0)
    parameter = Parameter("HKDF", (1, 1, prf, *salt, raw(test, "info")))
    base = bench.secret(raw(test, "ikm"), CKK.HKDF, DERIVE=True)
    wanted = {"VALUE_LEN": test["size"]}
    data = Mechanism(CKM.HKDF_DATA, parameter)
    made = bench.derive_key(data, base, CLASS=int(CKO.DATA), **wanted)
    expect(bench.value(made), raw(test, "okm"))
    if test["size"] <= 512:
        kind = {"CLASS": int(CKO.SECRET_KEY), "KEY_TYPE": int(CKK.GENERIC_SECRET)}
        mechanism = Mechanism(CKM.HKDF_DERIVE, parameter)
        expect(bench.derive(mechanism, base, **kind, **wanted), raw(test, "okm"))


def pbkdf2(bench: Bench, _group: Test, test: Test) -> None:
    """PBKDF2."""
    prf = CKP["PKCS5_PBKD2_HMAC_" + bench.algorithm.removeprefix("PBKDF2-HMAC")]
    fields = (1, raw(test, "salt"), test["iterationCount"], int(prf), b"", raw(test, "password"))
    mechanism = Mechanism(CKM.PKCS5_PBKD2, Parameter("PBKD2", fields))
    kind = {"KEY_TYPE": int(CKK.GENERIC_SECRET), "VALUE_LEN": test["dkLen"]}
    expect(bench.generate(mechanism, **kind), raw(test, "dk"))


def prf_data(kind: int, value: bytes) -> Attribute:
    """Make a CK_PRF_DATA_PARAM, which has the form of an attribute."""
    return Attribute(kind, value, len(value))


def big_endian(bits: int) -> bytes:
    """Make a CK_SP800_108_COUNTER_FORMAT."""
    return struct.pack("<B7xQ", 0, bits)


def counter_kdf(bench: Bench, _group: Test, test: Test) -> None:
    """KBKDF in counter mode, the counter before, amid or behind the fixed data."""
    name = test["prf"]
    if name.startswith("CMAC_AES"):
        prf, kind = CKM.AES_CMAC, CKK.AES
    elif name.startswith("CMAC_TDES"):
        prf, kind = CKM.DES3_CMAC, {"2": CKK.DES2, "3": CKK.DES3}[name[-1]]
    else:
        prf = CKM[f"{ {'SHA1': 'SHA_1'}.get(name[5:], name[5:]) }_HMAC"]
        kind = CKK.GENERIC_SECRET
    parts = [
        prf_data(BYTES, raw(test, "before")),
        prf_data(ITERATION, big_endian(test["width"])),
        prf_data(BYTES, raw(test, "after")),
    ]
    mechanism = Mechanism(
        CKM.SP800_108_COUNTER_KDF,
        Parameter("KBKDF", (int(prf), [part for part in parts if part.length], 0)),
    )
    key = raw(test, "key")
    if kind in (CKK.DES2, CKK.DES3):  # NIST leaves the last bit of each byte as it falls
        key = bytes(byte & 0xFE | (byte >> 1).bit_count() % 2 ^ 1 for byte in key)
    base = bench.secret(key, kind, DERIVE=True)
    expect(made(bench, mechanism, base, test), raw(test, "made"))


def pipeline_kdf(bench: Bench, _group: Test, test: Test) -> None:
    """KBKDF in feedback and double pipeline mode, with and without a counter."""
    parts = [prf_data(ITERATION, b"")]
    if test["width"]:
        parts.append(prf_data(COUNTER, big_endian(test["width"])))
    parts.append(prf_data(BYTES, raw(test, "fixed")))
    parameter = {
        "FEEDBACK": ("FEEDBACK_KBKDF", (int(CKM.SHA256_HMAC), parts, raw(test, "iv"), 0)),
        "DOUBLE_PIPELINE": ("KBKDF", (int(CKM.SHA256_HMAC), parts, 0)),
    }[test["mode"]]
    mechanism = Mechanism(CKM[f"SP800_108_{test['mode']}_KDF"], Parameter(*parameter))
    base = bench.secret(raw(test, "key"), CKK.GENERIC_SECRET, DERIVE=True)
    expect(made(bench, mechanism, base, test), raw(test, "made"))


def made(bench: Bench, mechanism: Mechanism, base: int, test: Test) -> bytes:
    """Derive a generic secret of the length that was published."""
    kind = {"CLASS": int(CKO.SECRET_KEY), "KEY_TYPE": int(CKK.GENERIC_SECRET)}
    return bench.derive(mechanism, base, VALUE_LEN=len(raw(test, "made")), **kind)


def agreement(bench: Bench, group: Test, test: Test) -> None:
    """ECDH on all curves."""
    montgomery = group["type"] == "XdhComp"
    value = raw(test, "private") if montgomery else raw(test, "private").lstrip(b"\0")
    kind = CKK.EC_MONTGOMERY if montgomery else CKK.EC
    key = bench.private(kind, VALUE=value, DERIVE=True, **curve(group["curve"]))
    fields = (int(CKD.NULL), b"", raw(test, "public"))
    mechanism = Mechanism(CKM.ECDH1_DERIVE, Parameter("ECDH1", fields))
    expect(bench.derive(mechanism, key), raw(test, "shared"))


def cofactor_agreement(bench: Bench, group: Test, test: Test) -> None:
    """ECDH of static keys, a key made of it as SP 800-56A says, and one's own public key."""
    value = raw(test, "private").lstrip(b"\0")
    key = bench.private(CKK.EC, VALUE=value, DERIVE=True, **curve(group["curve"]))
    peer = raw(test, "public")
    for kind in (CKM.ECDH1_DERIVE, CKM.ECDH1_COFACTOR_DERIVE):
        mechanism = Mechanism(kind, Parameter("ECDH1", (int(CKD.NULL), b"", peer)))
        expect(bench.derive(mechanism, key), raw(test, "shared"))
        if "made" in test:
            kdf = CKD[f"{test['sha']}_KDF_SP800"]
            mechanism = Mechanism(kind, Parameter("ECDH1", (int(kdf), raw(test, "info"), peer)))
            expect(made(bench, mechanism, key, test), raw(test, "made"))
    public = bench.derive_key(Mechanism(CKM.PUB_KEY_FROM_PRIV_KEY, None), key)
    expect(bench.value(public, CKA.EC_POINT).endswith(raw(test, "own")), True)


def rsa_oaep(bench: Bench, group: Test, test: Test) -> None:
    """OAEP, of data and of a key."""
    mask = CKG["MGF1_" + hash_name(group["mgfSha"])]
    fields = (int(hash_kind(group["sha"])), int(mask), 1, raw(test, "label"))
    mechanism = Mechanism(CKM.RSA_PKCS_OAEP, Parameter("OAEP", fields))
    key = rsa_private(bench, group, DECRYPT=True, UNWRAP=True)
    expect(bench.decrypt(mechanism, key, raw(test, "ct")), raw(test, "msg"))
    if test["msg"]:
        expect(bench.unwrap(mechanism, key, raw(test, "ct")), raw(test, "msg"))


def rsa_pkcs1(bench: Bench, group: Test, test: Test) -> None:
    """PKCS#1 v1.5: a bad padding is not told from a good one, the library gives other bytes."""
    key = rsa_private(bench, group, DECRYPT=True)
    clear = bench.decrypt(Mechanism(CKM.RSA_PKCS, None), key, raw(test, "ct"))
    expect(test["result"] == "valid" and clear, raw(test, "msg"))


def kem(bench: Bench, group: Test, test: Test) -> None:
    """ML-KEM, from the seed."""
    material = {"PARAMETER_SET": ML_KEM_SETS[group["parameterSet"]], "SEED": raw(test, "seed")}
    key = bench.private(CKK.ML_KEM, DECAPSULATE=True, **material)
    info = bench.value(key, CKA.PUBLIC_KEY_INFO)
    expect(info.endswith(raw(test, "ek")), True)
    if "dk" in test:
        expect(bench.value(key), raw(test, "dk"))
    if "c" in test:
        mechanism = Mechanism(CKM.ML_KEM, None)
        expect(bench.decapsulate(mechanism, key, raw(test, "c")), raw(test, "K"))


def kem_public(bench: Bench, group: Test, test: Test) -> None:
    """ML-KEM's public keys, which are judged when they are brought."""
    chosen = ML_KEM_SETS[group["parameterSet"]]
    bench.public(CKK.ML_KEM, PARAMETER_SET=chosen, VALUE=raw(test, "ek"))
