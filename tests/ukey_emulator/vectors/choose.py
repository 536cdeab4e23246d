"""Chooses test vectors out of Wycheproof's; see README.md. Run by hand, not by the tests."""

import json
import sys
from pathlib import Path
from typing import Any

# Published file without "_test.json" → how many of its tests are kept at most.
CHOSEN = {
    "aes_cbc_pkcs5": 20,
    "aes_ccm": 60,
    "aes_cmac": 30,
    "aes_gcm": 60,
    "aes_gmac": 30,
    "aes_kwp": 40,
    "aes_wrap": 40,
    "aes_xts": 20,
    "chacha20_poly1305": 40,
    "dsa_2048_224_sha224_p1363": 20,
    "dsa_2048_256_sha256_p1363": 24,
    "ecdh_secp224r1_ecpoint": 30,
    "ecdh_secp256r1_ecpoint": 30,
    "ecdh_secp384r1_ecpoint": 20,
    "ecdh_secp521r1_ecpoint": 30,
    "ecdsa_brainpoolP256r1_sha256_p1363": 30,
    "ecdsa_secp224r1_sha256_p1363": 30,
    "ecdsa_secp224r1_sha3_224": 16,
    "ecdsa_secp256k1_sha256_p1363": 30,
    "ecdsa_secp256r1_sha256_p1363": 40,
    "ecdsa_secp256r1_sha3_256": 16,
    "ecdsa_secp384r1_sha384_p1363": 30,
    "ecdsa_secp384r1_sha3_384": 16,
    "ecdsa_secp521r1_sha3_512": 16,
    "ecdsa_secp521r1_sha512_p1363": 30,
    "ed25519": 40,
    "ed448": 30,
    "hkdf_sha1": 20,
    "hkdf_sha256": 30,
    "hkdf_sha384": 16,
    "hkdf_sha512": 20,
    "hmac_sha1": 20,
    "hmac_sha224": 20,
    "hmac_sha256": 30,
    "hmac_sha384": 20,
    "hmac_sha3_224": 16,
    "hmac_sha3_256": 20,
    "hmac_sha3_384": 16,
    "hmac_sha3_512": 20,
    "hmac_sha512": 20,
    "hmac_sha512_224": 20,
    "hmac_sha512_256": 16,
    "mldsa_44_sign_noseed": 6,
    "mldsa_44_sign_seed": 8,
    "mldsa_44_verify": 10,
    "mldsa_65_sign_noseed": 4,
    "mldsa_65_sign_seed": 6,
    "mldsa_65_verify": 8,
    "mldsa_87_sign_seed": 6,
    "mldsa_87_verify": 8,
    "mlkem_1024": 6,
    "mlkem_512": 10,
    "mlkem_512_encaps": 6,
    "mlkem_512_keygen_seed": 4,
    "mlkem_768": 6,
    "pbkdf2_hmacsha1": 12,
    "pbkdf2_hmacsha224": 10,
    "pbkdf2_hmacsha256": 12,
    "pbkdf2_hmacsha384": 10,
    "pbkdf2_hmacsha512": 12,
    "rsa_oaep_2048_sha1_mgf1sha1": 10,
    "rsa_oaep_2048_sha224_mgf1sha1": 10,
    "rsa_oaep_2048_sha256_mgf1sha256": 16,
    "rsa_oaep_2048_sha384_mgf1sha384": 10,
    "rsa_oaep_2048_sha512_mgf1sha512": 10,
    "rsa_pkcs1_2048": 16,
    "rsa_pss_2048_sha1_mgf1_20": 10,
    "rsa_pss_2048_sha256_mgf1_0": 10,
    "rsa_pss_2048_sha256_mgf1_32": 16,
    "rsa_pss_2048_sha384_mgf1_48": 10,
    "rsa_pss_4096_sha512_mgf1_64": 10,
    "rsa_signature_2048_sha224": 12,
    "rsa_signature_2048_sha256": 24,
    "rsa_signature_2048_sha384": 12,
    "rsa_signature_2048_sha3_224": 12,
    "rsa_signature_2048_sha3_256": 12,
    "rsa_signature_2048_sha3_384": 12,
    "rsa_signature_2048_sha3_512": 12,
    "rsa_signature_2048_sha512": 12,
    "x25519": 40,
    "x448": 30,
}
_UNREAD = ("Der", "Pem", "Jwk", "Asn", "Pkcs8", "source", "keyId")
_SIZES = ("keySize", "ivSize", "tagSize", "curve")
_SLOWEST = 100_000  # iterations of PBKDF2
_LONGEST = 24_000  # characters of one test; a key of ML-KEM takes six thousand


def main() -> None:
    """Write the chosen tests of the crate's folder beside this file."""
    source = Path(sys.argv[1])
    for name, most in CHOSEN.items():
        published = json.loads((source / f"{name}_test.json").read_text(encoding="utf-8"))
        groups = chosen(published["testGroups"], most)
        text = json.dumps({"algorithm": published["algorithm"], "testGroups": groups}, indent=0)
        target = Path(__file__).parent / f"{name}.json"
        target.write_text(text + "\n", encoding="utf-8")


def chosen(groups: list[dict[str, Any]], most: int) -> list[dict[str, Any]]:
    """Take tests, first one of each kind, then another, until there are enough."""
    kinds: dict[tuple[Any, ...], list[tuple[int, dict[str, Any]]]] = {}
    for place, group in enumerate(groups):
        sizes = tuple(str(group.get(size)) for size in _SIZES)
        for test in group["tests"]:
            if len(json.dumps(test)) <= _LONGEST and test.get("iterationCount", 0) <= _SLOWEST:
                kind = (test["result"], *test.get("flags", []), *sizes)
                kinds.setdefault(kind, []).append((place, test))
    taken: dict[int, list[dict[str, Any]]] = {}
    count = 0
    while kinds and count < most:
        for kind in list(kinds):
            place, test = kinds[kind].pop(0)
            taken.setdefault(place, []).append(test)
            count += 1
            if not kinds[kind]:
                del kinds[kind]
            if count == most:
                break
    return [{**slim(groups[place]), "tests": tests} for place, tests in sorted(taken.items())]


def slim(group: dict[str, Any]) -> dict[str, Any]:
    """Leave out the fields that no test reads."""
    return {
        key: value
        for key, value in group.items()
        if key != "tests" and not any(word in key for word in _UNREAD)
    }


if __name__ == "__main__":
    main()
