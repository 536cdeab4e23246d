"""Judges of published encryptions, codes and digests: what each test asks of the token.

A judge raises WrongResultError or CallError where the token does not give what a valid test has.
"""

import struct
from typing import Any

from c_program import memory, structure
from vector_bench import Bench, Test, expect, hash_kind, hash_name, raw

from ukey_emulator.cryptoki.wire import Mechanism, Parameter
from ukey_emulator.terms import CKG, CKK, CKM

_BLOCKS = {"AES": 16, "DES3": 8, "CAMELLIA": 16, "SEED": 16}
_MAX_SECRET = 512


def aead(bench: Bench, group: Test, test: Test) -> None:
    """GCM, CCM, ChaCha20-Poly1305."""
    nonce, extra, data = raw(test, "iv"), raw(test, "aad"), raw(test, "msg")
    tag_bits = group["tagSize"]
    sealed = raw(test, "ct") + raw(test, "tag")
    key_type, parameter = {
        "AES-GCM": (CKK.AES, Parameter("GCM", (nonce, 8 * len(nonce), extra, tag_bits))),
        "AES-CCM": (
            CKK.AES,
            Parameter("CCM", (len(sealed) - tag_bits // 8, nonce, extra, tag_bits // 8)),
        ),
        "CHACHA20-POLY1305": (CKK.CHACHA20, Parameter("POLY1305", (nonce, extra))),
    }[bench.algorithm]
    mechanism = Mechanism(CKM[bench.algorithm.replace("-", "_")], parameter)
    key = bench.secret(raw(test, "key"), key_type)
    expect(bench.decrypt(mechanism, key, sealed), data)
    expect(bench.encrypt(mechanism, key, data), sealed)
    kind, tag = CKM(mechanism.type), raw(test, "tag")
    given, room = memory(tag), memory(bytes(len(tag)))
    expect(bench.unseal(kind, key, message(kind, test, given), extra, raw(test, "ct")), data)
    made = bench.seal(kind, key, message(kind, test, room), extra, data)
    expect((made, room.raw), (raw(test, "ct"), tag))


def message(kind: CKM, test: Test, tag: Any) -> Any:
    """Make the parameter of one message: its nonce comes from here, its tag is in memory."""
    nonce, how = raw(test, "iv"), int(CKG.NO_GENERATE)
    layout, fields = {
        CKM.AES_GCM: ("GCM_MESSAGE", (nonce, 0, how, tag)),
        CKM.AES_CCM: ("CCM_MESSAGE", (len(raw(test, "msg")), nonce, 0, how, tag)),
        CKM.CHACHA20_POLY1305: ("POLY1305_MESSAGE", (nonce, tag)),
    }[kind]
    return structure(layout, *fields)


def code(bench: Bench, group: Test, test: Test) -> None:
    """HMAC, CMAC, Poly1305; where a code has all its bytes, also by the mechanism of full ones."""
    length = group["tagSize"] // 8
    if bench.algorithm.startswith("HMAC"):
        name = hash_name(bench.algorithm.removeprefix("HMAC"))
        name = {"SHA1": "SHA_1"}.get(name, name)
        kind, full = CKK[f"{name}_HMAC"], f"{name}_HMAC"
    else:
        full = bench.algorithm.replace("-", "_")
        kind = CKK[full.removesuffix("_CMAC")]
    key = bench.secret(raw(test, "key"), kind)
    message, tag = raw(test, "msg"), raw(test, "tag")
    mechanisms = []
    if full != "POLY1305":
        mechanisms.append(Mechanism(CKM[f"{full}_GENERAL"], struct.pack("<Q", length)))
    if length == _full_length(bench.algorithm):
        mechanisms.append(Mechanism(CKM[full], None))
    for mechanism in mechanisms:
        bench.verify(mechanism, key, message, tag)
        expect(bench.sign(mechanism, key, message), tag)


def _full_length(algorithm: str) -> int:
    known = {"AES-CMAC": 16, "DES3-CMAC": 8, "POLY1305": 16, "HMACSHA1": 20}
    return known.get(algorithm) or int(algorithm.replace("/", "-").rpartition("-")[2][-3:]) // 8


def gmac(bench: Bench, group: Test, test: Test) -> None:
    """GMAC."""
    nonce = raw(test, "iv")
    fields = (nonce, 8 * len(nonce), b"", group["tagSize"])
    mechanism = Mechanism(CKM.AES_GMAC, Parameter("GCM", fields))
    key = bench.secret(raw(test, "key"), CKK.AES)
    bench.verify(mechanism, key, raw(test, "msg"), raw(test, "tag"))
    expect(bench.sign(mechanism, key, raw(test, "msg")), raw(test, "tag"))


def wrapping(bench: Bench, _group: Test, test: Test) -> None:
    """AES key wrap: of data, and of a key with these bytes."""
    kinds = {
        "AES-WRAP": (CKM.AES_KEY_WRAP,),
        "AES-KWP": (CKM.AES_KEY_WRAP_KWP, CKM.AES_KEY_WRAP_PAD),
    }[bench.algorithm]
    key = bench.secret(raw(test, "key"), CKK.AES, WRAP=True, UNWRAP=True)
    clear, wrapped = raw(test, "msg"), raw(test, "ct")
    for kind in kinds:
        mechanism = Mechanism(kind, None)
        expect(bench.decrypt(mechanism, key, wrapped, cut=False), clear)
        expect(bench.encrypt(mechanism, key, clear, cut=False), wrapped)
        if 0 < len(clear) <= _MAX_SECRET:
            expect(bench.unwrap(mechanism, key, wrapped), clear)
            expect(bench.wrap(mechanism, key, clear), wrapped)


def padded(bench: Bench, _group: Test, test: Test) -> None:
    """AES-CBC with padding, and XTS, whose tweak may be given short."""
    if bench.algorithm == "AES-XTS":
        mechanism = Mechanism(CKM.AES_XTS, raw(test, "iv").ljust(16, b"\0"))
        key = bench.secret(raw(test, "key"), CKK.AES_XTS)
    else:
        mechanism = Mechanism(CKM.AES_CBC_PAD, raw(test, "iv"))
        key = bench.secret(raw(test, "key"), CKK.AES)
    expect(bench.decrypt(mechanism, key, raw(test, "ct")), raw(test, "msg"))
    expect(bench.encrypt(mechanism, key, raw(test, "msg")), raw(test, "ct"))


def cipher(bench: Bench, _group: Test, test: Test) -> None:
    """Plain ciphers, and what else comes out of the same blocks."""
    value, iv, clear, hidden = (raw(test, field) for field in ("key", "iv", "msg", "ct"))
    name = bench.algorithm.replace("-", "_")
    key = bench.secret(value, CKK[name.split("_")[0] if name != "AES_XTS" else name], DERIVE=True)
    parameter: Parameter | bytes | None = iv or None
    if name == "AES_CTR":
        parameter = struct.pack("<Q", 128) + iv
    elif name == "CHACHA20":
        counter = test["counter"].to_bytes(4, "little")
        parameter = Parameter("CHACHA20", (counter, 32, iv, 96))
    mechanism = Mechanism(CKM[name], parameter)
    expect(bench.decrypt(mechanism, key, hidden), clear)
    expect(bench.encrypt(mechanism, key, clear), hidden)
    if name.endswith("_ECB"):
        derivation = Mechanism(CKM[f"{name}_ENCRYPT_DATA"], Parameter("STRING", (clear,)))
        expect(bench.derive(derivation, key), hidden)
        if len(clear) == _BLOCKS[name.split("_")[0]]:
            coded(bench, key, clear, hidden)
    elif name.endswith("_CBC"):
        if name != "BLOWFISH_CBC":
            layout = Parameter(f"CBC_DATA_{len(iv)}", (iv, clear))
            expect(bench.derive(Mechanism(CKM[f"{name}_ENCRYPT_DATA"], layout), key), hidden)
        chained(bench, key, test)


def chained(bench: Bench, key: int, test: Test) -> None:
    """CBC's last block is the CBC-MAC where it began with zeros; padding adds only a block."""
    iv, clear, hidden = (raw(test, field) for field in ("iv", "msg", "ct"))
    family = bench.algorithm.split("-")[0]
    with_padding = bench.encrypt(Mechanism(CKM[f"{family}_CBC_PAD"], iv), key, clear)
    expect((with_padding[: len(hidden)], len(with_padding)), (hidden, len(hidden) + len(iv)))
    if not any(iv):
        coded(bench, key, clear, hidden[-len(iv) :])


def coded(bench: Bench, key: int, clear: bytes, block: bytes) -> None:
    """CBC-MAC: the whole last block, and half of it."""
    family = bench.algorithm.split("-")[0]
    half = Mechanism(CKM[f"{family}_MAC"], None)
    expect(bench.sign(half, key, clear), block[: len(block) // 2])
    whole = Mechanism(CKM[f"{family}_MAC_GENERAL"], struct.pack("<Q", len(block)))
    bench.verify(whole, key, clear, block)


def digest(bench: Bench, _group: Test, test: Test) -> None:
    """Digests of data and of a key, and a key that is the digest of another."""
    message, published = raw(test, "msg"), raw(test, "digest")
    shake = bench.algorithm.startswith("SHAKE")
    if not shake:
        mechanism = Mechanism(hash_kind(bench.algorithm), None)
        expect(bench.digest(mechanism, message), published)
    if 0 < len(message) <= _MAX_SECRET:
        key = bench.secret(message, CKK.GENERIC_SECRET, DERIVE=True)
        name = bench.algorithm.replace("SHAKE", "SHAKE_") if shake else hash_name(bench.algorithm)
        derivation = Mechanism(CKM[f"{name}_KEY_DERIVATION"], None)
        length = {"VALUE_LEN": len(published)} if shake else {}
        expect(bench.derive(derivation, key, **length), published)
        if not shake:
            expect(bench.digest_key(mechanism, key), published)
