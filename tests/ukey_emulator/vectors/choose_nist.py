"""Chooses test vectors out of NIST's and the RFCs'; see README.md. Run by hand, not by the tests.

The records of the published files become tests with the field names that Wycheproof has, so that
one judge serves both; their values stay as they were published.
"""

import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

Record = dict[str, str]
Test = dict[str, Any]

_LONGEST = 6_000  # characters of one record
_HASHES = {"SHA1": "SHA-1", "SHA512224": "SHA-512/224", "SHA512256": "SHA-512/256"}
_CIPHERS = {
    "AES-ECB": ("ciphers/AES/ECB/*.rsp", 40),
    "AES-CBC": ("ciphers/AES/CBC/*.rsp", 60),
    "AES-OFB": ("ciphers/AES/OFB/*.rsp", 40),
    "AES-CFB8": ("ciphers/AES/CFB/CFB8*.rsp", 40),
    "AES-CFB128": ("ciphers/AES/CFB/CFB128*.rsp", 40),
    "AES-CTR": ("ciphers/AES/CTR/*.txt", 9),
    "AES-XTS": ("ciphers/AES/XTS/tweak-128hexstr/*.rsp", 16),
    "DES3-ECB": ("ciphers/3DES/ECB/*.rsp", 40),
    "DES3-CBC": ("ciphers/3DES/CBC/TCBC[!I]*.rsp", 40),
    "CAMELLIA-CBC": ("ciphers/Camellia/camellia-cbc.txt", 20),
    "SEED-ECB": ("ciphers/SEED/rfc-4269.txt", 4),
    "SEED-CBC": ("ciphers/SEED/rfc-4196.txt", 3),
    "BLOWFISH-CBC": ("ciphers/Blowfish/bf-cbc.txt", 1),
    "CHACHA20": ("ciphers/ChaCha20/rfc7539.txt", 3),
}
_DIGESTS = {
    "SHA-1": "SHA1/SHA1",
    "SHA-224": "SHA2/SHA224",
    "SHA-256": "SHA2/SHA256",
    "SHA-384": "SHA2/SHA384",
    "SHA-512": "SHA2/SHA512",
    "SHA-512/224": "SHA2/SHA512_224",
    "SHA-512/256": "SHA2/SHA512_256",
    "SHA3-224": "SHA3/SHA3_224",
    "SHA3-256": "SHA3/SHA3_256",
    "SHA3-384": "SHA3/SHA3_384",
    "SHA3-512": "SHA3/SHA3_512",
}
_CURVES = {
    "P-192": "secp192r1",
    "P-224": "secp224r1",
    "P-256": "secp256r1",
    "P-384": "secp384r1",
    "P-521": "secp521r1",
}


def records(path: Path, *needed: str) -> Iterator[Record]:
    """Give the paragraphs of a file that have the `needed` fields.

    What stood in a paragraph without them, or in brackets, holds for all that follow.
    """
    standing: Record = {"file": path.stem}
    text = re.sub(r"^[#\t].*\n", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    for paragraph in re.split(r"\n\s*\n", text.replace("\r", "")):
        fields: Record = {}
        for line in filter(None, map(str.strip, paragraph.split("\n"))):
            name, equals, value = line.strip("[]").partition("=")
            if not equals and line.startswith("["):
                name, value = "section", line.strip("[]")
            fields[name.strip().lower()] = value.strip()
        if all(name in fields for name in needed):
            if sum(map(len, fields.values())) <= _LONGEST:
                yield {**standing, **fields}
        else:
            standing |= fields


def spread(found: Iterable[Record], most: int, *kinds: str) -> list[Record]:
    """Take at most so many: one of each kind, which these fields make, then another of each."""
    heaps: dict[tuple[str | None, ...], list[Record]] = {}
    for record in found:
        heaps.setdefault(tuple(record.get(kind) for kind in kinds), []).append(record)
    taken: list[Record] = []
    while heaps and len(taken) < most:
        for kind in list(heaps):
            heap = heaps[kind]
            taken.append(heap.pop(len(heap) // 2))
            if not heap:
                del heaps[kind]
    return taken[:most]


def files(source: Path, pattern: str, *needed: str) -> Iterator[Record]:
    """Give the records of all files that fit."""
    for path in sorted(source.glob(pattern)):
        yield from records(path, *needed)


def numbered(tests: Iterable[Test]) -> list[Test]:
    """Give numbers to tests; what is not said to be invalid is valid."""
    return [{"tcId": at, "result": "valid", **test} for at, test in enumerate(tests, start=1)]


def verdict(record: Record) -> str:
    """Read whether a test shall succeed."""
    failed = "fail" in record or record.get("result", "P").upper().startswith("F")
    return "invalid" if failed else "valid"


def cipher(algorithm: str, record: Record) -> Test:
    """Turn a record of an encryption into a test."""
    key = record.get("key") or record.get("keys", "") * 3
    if "key1" in record:
        key = record["key1"] + record["key2"] + record["key3"]
    test = {
        "key": key,
        "iv": record.get("iv") or record.get("nonce") or record.get("i", ""),
        "msg": record.get("plaintext") or record.get("pt", ""),
        "ct": record.get("ciphertext") or record.get("ct", ""),
    }
    if algorithm == "CHACHA20":
        test["counter"] = int(record["initial_block_counter"])
    return test


def ciphers(source: Path) -> Iterator[tuple[str, str, list[Test]]]:
    """Plain ciphers: give file names, algorithms and groups."""
    for algorithm, (pattern, most) in _CIPHERS.items():
        fields = ("pt", "ct") if "XTS" in algorithm else ("plaintext", "ciphertext")
        found = (
            record
            for record in files(source, pattern, *fields)
            if int(record.get("dataunitlen", 0)) % 8 == 0
        )
        tests = [cipher(algorithm, record) for record in spread(found, most, "file", "dataunitlen")]
        yield algorithm, algorithm, [{"type": "BlockCipher", "tests": numbered(tests)}]


def camellia(source: Path) -> Iterator[tuple[str, str, list[Test]]]:
    """Camellia in ECB, as its inventors published it."""
    tests: list[Test] = []
    for bits in (128, 192, 256):
        path = source / f"ciphers/Camellia/camellia-{bits}-ecb.txt"
        text = path.read_text(encoding="utf-8").replace(" ", "")
        rows = re.findall(r"^([KPC])No\.\d+:(\w+)", text, re.MULTILINE)
        row: Record = {}
        found = []
        for name, value in rows:
            row[name] = value
            if name == "C":
                found.append({"key": row["K"], "iv": "", "msg": row["P"], "ct": value})
        tests += found[::130]
    yield "CAMELLIA-ECB", "CAMELLIA-ECB", [{"type": "BlockCipher", "tests": numbered(tests)}]


def sealed(source: Path) -> Iterator[tuple[str, str, list[Test]]]:
    """GCM and CCM."""
    patterns = ("ciphers/AES/GCM/*.rsp", "ciphers/AES/CCM/VNT*.rsp", "ciphers/AES/CCM/DVPT*.rsp")
    found = files(source, patterns[0], "key", "iv", "tag")
    gcm = spread((one for one in found if int(one["ivlen"]) >= 96), 60, "file", "taglen", "fail")
    groups = [
        {
            "type": "AeadTest",
            "ivSize": int(record["ivlen"]),
            "tagSize": int(record["taglen"]),
            "tests": numbered(
                [
                    {
                        "result": verdict(record),
                        "key": record["key"],
                        "iv": record["iv"],
                        "aad": record["aad"],
                        "msg": record.get("pt", ""),
                        "ct": record["ct"],
                        "tag": record["tag"],
                    }
                ]
            ),
        }
        for record in gcm
    ]
    yield "AES-GCM", "AES-GCM", groups
    found = (record for pattern in patterns[1:] for record in files(source, pattern, "nonce", "ct"))
    yield "AES-CCM", "AES-CCM", [ccm(record) for record in spread(found, 60, "file", "result")]


def ccm(record: Record) -> Test:
    """Turn a record of CCM into a group of one test: lengths stand in the section or alone."""
    section = dict(re.findall(r"(\w+) = (\d+)", "Alen = " + record.get("alen", "")))
    lengths = {name: int(section.get(name, record.get(name.lower(), 0))) for name in ("Plen",)}
    tag = int(section.get("Tlen", record.get("tlen", 0)))
    whole = len(record["ct"]) - 2 * tag
    empty_data = section.get("Alen", record.get("alen")) == "0"
    test = {
        "result": verdict(record),
        "key": record["key"],
        "iv": record["nonce"],
        "aad": "" if empty_data else record["adata"],
        "msg": "" if lengths["Plen"] == 0 else record.get("payload", ""),
        "ct": record["ct"][:whole],
        "tag": record["ct"][whole:],
    }
    return {"type": "AeadTest", "tagSize": 8 * tag, "tests": numbered([test])}


def wrapping(source: Path) -> Iterator[tuple[str, str, list[Test]]]:
    """AES key wrap with and without padding; in the files of AE the plain text comes first."""
    for algorithm, letters in (("AES-WRAP", "KW"), ("AES-KWP", "KWP")):
        found = files(source, f"keywrap/kwtestvectors/{letters}_A?_???.txt", "k", "c")
        tests = [
            {
                "result": verdict(record),
                "key": record["k"],
                "msg": record.get("p", ""),
                "ct": record["c"],
            }
            for record in spread(found, 30, "file", "plaintext length", "fail")
        ]
        yield algorithm, algorithm, [{"type": "KeywrapTest", "tests": numbered(tests)}]


def codes(source: Path) -> Iterator[tuple[str, str, list[Test]]]:
    """CMAC, HMAC of the RFCs, Poly1305."""
    for algorithm, name in (("AES-CMAC", "aes"), ("DES3-CMAC", "3des")):
        tests = [
            {
                "key": record.get("key") or record["key1"] + record["key2"] + record["key3"],
                "msg": record["message"],
                "tag": record["output"],
            }
            for record in files(source, f"CMAC/nist-800-38b-{name}*.txt", "message", "output")
        ]
        size = 4 * len(tests[0]["tag"])
        yield algorithm, algorithm, [{"type": "MacTest", "tagSize": size, "tests": numbered(tests)}]
    for path in sorted(source.glob("HMAC/*sha*.txt")):
        hashed = path.stem.rpartition("sha")[2]
        tests = [
            {"key": record["key"], "msg": record["msg"], "tag": record["md"]}
            for record in records(path, "key", "msg", "md")
        ]
        groups = [
            {"type": "MacTest", "tagSize": 4 * len(test["tag"]), "tests": numbered([test])}
            for test in tests
        ]
        yield f"HMAC-SHA{hashed}", f"HMACSHA{hashed}", groups
    tests = [
        {"key": record["key"], "msg": record["msg"], "tag": record["tag"]}
        for record in files(source, "poly1305/rfc7539.txt", "key", "msg", "tag")
    ]
    yield "POLY1305", "POLY1305", [{"type": "MacTest", "tagSize": 128, "tests": numbered(tests)}]


def digests(source: Path) -> Iterator[tuple[str, str, list[Test]]]:
    """Digests of the SHA family; the number of bits says where a message is empty."""
    for algorithm, name in _DIGESTS.items():
        found = files(source, f"hashes/{name}[LS]*Msg.rsp", "len", "msg", "md")
        chosen = spread(found, 12, "file")
        tests = [
            {"msg": "" if record["len"] == "0" else record["msg"], "digest": record["md"]}
            for record in chosen
        ]
        yield algorithm, algorithm, [{"type": "DigestTest", "tests": numbered(tests)}]
    for name in ("SHAKE128", "SHAKE256"):
        found = files(source, f"hashes/SHAKE/{name}VariableOut.rsp", "msg", "output")
        tests = [
            {"msg": record["msg"], "digest": record["output"]}
            for record in spread(found, 12, "outputlen")
        ]
        yield name, name, [{"type": "DigestTest", "tests": numbered(tests)}]


def exponent(text: str) -> str:
    """Leave out the zeros before an exponent."""
    short = text.lstrip("0")
    return "0" * (len(short) % 2) + short


def rsa(source: Path) -> Iterator[tuple[str, str, list[Test]]]:
    """Signatures of both schemes, with the private keys."""
    for scheme, kind in (("15", "RsassaPkcs1Sign"), ("PSS", "RsassaPssVerify")):
        path = source / f"asymmetric/RSA/FIPS_186-2/SigVer{scheme}_186-3.rsp"
        found = [
            {**record, "outcome": verdict(record)} for record in records(path, "msg", "s", "d")
        ]
        groups = []
        for record in spread(found, 24, "shaalg", "outcome", "mod"):
            salt = record["saltval"] if record["saltval"] != "00" else ""
            hashed = _HASHES.get(record["shaalg"], record["shaalg"].replace("SHA", "SHA-"))
            key = {
                "modulus": record["n"],
                "publicExponent": exponent(record["e"]),
                "privateExponent": record["d"],
                "prime1": record["p"],
                "prime2": record["q"],
            }
            test = {"result": record["outcome"], "msg": record["msg"], "sig": record["s"]}
            group = {"type": kind, "sha": hashed, "mgfSha": hashed, "sLen": len(salt) // 2}
            keys = {"publicKey": key, "privateKey": key}
            groups.append({**group, **keys, "tests": numbered([test])})
        yield f"RSA-{scheme}", kind, groups


def dsa(source: Path) -> Iterator[tuple[str, str, list[Test]]]:
    """DSA, with the private keys; some of the public keys were changed."""
    path = source / "asymmetric/DSA/FIPS_186-3/SigVer.rsp"
    found = [
        {**record, "outcome": verdict(record)} for record in records(path, "msg", "x", "r", "s")
    ]
    groups = []
    for record in spread(found, 40, "mod", "outcome"):
        size = len(record["q"])
        test = {
            "result": record["outcome"],
            "msg": record["msg"],
            "sig": record["r"].zfill(size) + record["s"].zfill(size),
            "x": record["x"],
        }
        key = {part: record[part] for part in ("p", "q", "g", "y")}
        hashed = record["mod"].rpartition(" ")[2]
        group = {"type": "DsaP1363Verify", "sha": hashed, "publicKey": key}
        groups.append({**group, "tests": numbered([test])})
    yield "DSA", "DSA", groups


def _size(curve: str) -> int:
    """Give how many digits a coordinate has."""
    return (int(curve[2:]) + 7) // 8 * 2


def ecdsa(source: Path) -> Iterator[tuple[str, str, list[Test]]]:
    """Signatures on the prime curves."""
    path = source / "asymmetric/ECDSA/FIPS_186-3/SigVer.rsp"
    found = [
        {**record, "outcome": verdict(record)}
        for record in records(path, "msg", "r", "s")
        if record["section"].split(",")[0] in _CURVES
    ]
    groups = []
    for record in spread(found, 60, "section", "outcome"):
        name, hashed = record["section"].split(",")
        size = _size(name)
        q, r, s = (record[field].zfill(size) for field in ("qx", "r", "s"))
        point = f"04{q}{record['qy'].zfill(size)}"
        test = {"result": record["outcome"], "msg": record["msg"], "sig": r + s}
        key = {"curve": _CURVES[name], "uncompressed": point}
        group = {"type": "EcdsaP1363Verify", "sha": hashed, "publicKey": key}
        groups.append({**group, "tests": numbered([test])})
    yield "ECDSA", "ECDSA", groups


def agreement(source: Path) -> Iterator[tuple[str, str, list[Test]]]:
    """ECDH of static keys: the shared secret, and a key made of it (SP 800-56A)."""
    pattern = "asymmetric/ECDH/KASValidityTest_ECCStaticUnified_*NOKC_*init.fax"
    needed = ("dsiut", "qscavsx", "z")
    found = (record for record in files(source, pattern, *needed) if verdict(record) == "valid")
    groups = []
    for record in spread(found, 24, "file", "section"):
        letters, _, hashed = record["section"].partition(" - ")
        name = list(_CURVES)["ABCDE".index(letters[1])]
        size = _size(name)
        x, y, own_x, own_y, shared = (
            record[field][-size:] for field in ("qscavsx", "qscavsy", "qsiutx", "qsiuty", "z")
        )
        test = {
            "private": record["dsiut"],
            "public": f"04{x}{y}",
            "own": f"04{own_x}{own_y}",
            "shared": shared,
        }
        if "dkm" in record:
            test |= {"info": record["oi"], "made": record["dkm"], "sha": hashed}
        groups.append({"type": "CofactorEcdh", "curve": _CURVES[name], "tests": numbered([test])})
    yield "ECDH", "ECDH", groups
    for name, curve in (("X25519", "curve25519"), ("X448", "curve448")):
        tests = [
            {
                "private": record["input_scalar"],
                "public": record["input_u"],
                "shared": record["output_u"],
            }
            for record in files(source, f"asymmetric/{name}/rfc7748.txt", "input_u", "output_u")
        ]
        yield (
            f"{name}-RFC7748",
            name,
            [{"type": "XdhComp", "curve": curve, "tests": numbered(tests)}],
        )


def edwards(source: Path) -> Iterator[tuple[str, str, list[Test]]]:
    """RFC 8032: Ed25519 in lines of secret and public key, message, signature and message."""
    lines = (source / "asymmetric/Ed25519/sign.input").read_text(encoding="utf-8").split()
    parts = [line.split(":") for line in (*lines[:12], *lines[100:1000:90])]
    tests: list[Test] = [
        {"secret": one[:64], "public": public, "msg": message, "sig": signed[:128]}
        for one, public, message, signed, _ in parts
    ]
    group = {"type": "EddsaSign", "curve": "edwards25519", "tests": numbered(tests)}
    yield "ED25519-RFC8032", "EDDSA", [group]
    tests = [
        {
            "secret": record["secret"],
            "public": record["public"],
            "msg": record["message"],
            "ctx": record.get("context", ""),
            "sig": record["signature"],
        }
        for record in files(source, "asymmetric/Ed448/rfc8032.txt", "secret", "signature")
    ]
    group = {"type": "EddsaSign", "curve": "edwards448", "tests": numbered(tests)}
    yield "ED448-RFC8032", "EDDSA", [group]


def derivations(source: Path) -> Iterator[tuple[str, str, list[Test]]]:
    """HKDF of RFC 5869, KBKDF in counter mode."""
    for hashed in ("SHA1", "SHA256"):
        path = source / f"KDF/rfc-5869-HKDF-{hashed}.txt"
        text = re.sub(r"\n+(?!COUNT)", "\n", path.read_text(encoding="utf-8"))
        fields = [
            dict(re.findall(r"^(\w+) *= *(\w*)", part, re.MULTILINE))
            for part in text.split("COUNT")
        ]
        tests = [
            {
                "ikm": one["IKM"],
                "salt": one.get("salt", ""),
                "info": one.get("info", ""),
                "size": int(one["L"]),
                "okm": one["OKM"],
            }
            for one in fields
            if "OKM" in one
        ]
        yield f"HKDF-{hashed}", f"HKDF-{hashed}", [{"type": "HkdfTest", "tests": numbered(tests)}]
    found = files(source, "KDF/nist-800-108-KBKDF-CTR.txt", "ki", "ko")
    chosen = spread(found, 48, "prf", "ctrlocation", "rlen")
    tests = [
        {
            "prf": record["prf"],
            "width": int(record["rlen"].partition("_")[0]),
            "key": record["ki"],
            "before": {"BEFORE_FIXED": ""}.get(
                record["ctrlocation"],
                record.get("fixedinputdata", record.get("databeforectrdata", "")),
            ),
            "after": {"AFTER_FIXED": ""}.get(
                record["ctrlocation"],
                record.get("fixedinputdata", record.get("dataafterctrdata", "")),
            ),
            "made": record["ko"],
        }
        for record in chosen
    ]
    yield "KBKDF-COUNTER", "KBKDF", [{"type": "CounterKdf", "tests": numbered(tests)}]


def prehashed(source: Path) -> Iterator[tuple[str, str, list[Test]]]:
    """HashML-DSA: a signature to make for each hash function, some to judge, all short."""
    for name, most in (("sigGen", 12), ("sigVer", 4)):
        path = source / f"PublicKey/MLDSA/ML-DSA-{name}-FIPS204-preHash.json"
        groups = json.loads(path.read_text(encoding="utf-8"))["testGroups"]
        found = [
            {**test, "parameterSet": group["parameterSet"]}
            for group in groups
            for test in group["tests"]
            if "rnd" not in test
        ]
        chosen: dict[tuple[str, bool], Test] = {}
        for test in sorted(found, key=lambda test: -len(str(test))):
            chosen[test["hashAlg"], test.get("testPassed", True)] = test
        tests = [
            {
                "result": "valid" if test.get("testPassed", True) else "invalid",
                "parameterSet": test["parameterSet"],
                "hash": test["hashAlg"],
                "pk": test["pk"],
                **({"sk": test["sk"]} if name == "sigGen" else {}),
                "ctx": test["context"],
                "msg": test["message"],
                "sig": test["signature"],
            }
            for test in list(chosen.values())[-most:]
        ]
        yield f"HASH-MLDSA-{name}", "HASH-ML-DSA", [{"type": "HashMlDsa", "tests": numbered(tests)}]


_PARTS: tuple[Callable[[Path], Iterator[tuple[str, str, list[Test]]]], ...] = (
    ciphers,
    camellia,
    sealed,
    wrapping,
    codes,
    digests,
    rsa,
    dsa,
    ecdsa,
    agreement,
    edwards,
    derivations,
)


def main() -> None:
    """Write the chosen tests of the packages' folders beside this file."""
    cryptography, pycryptodome = map(Path, sys.argv[1:])
    for found in (*(part(cryptography) for part in _PARTS), prehashed(pycryptodome)):
        for name, algorithm, groups in found:
            text = json.dumps({"algorithm": algorithm, "testGroups": groups}, indent=0)
            stem = "nist_" + re.sub(r"\W", "_", name).lower()
            target = Path(__file__).parent / f"{stem}.json"
            target.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
