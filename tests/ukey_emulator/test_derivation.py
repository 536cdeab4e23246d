"""Keys that come of keys, of passwords and of data."""

import hashlib
import hmac
import struct
from typing import Any

import pytest
from brought import LOOSE, derive, pair, secret, sign, verify
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import algorithms
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand
from cryptography.hazmat.primitives.kdf.kbkdf import (
    KBKDFCMAC,
    KBKDFHMAC,
    CounterLocation,
    Mode,
)
from program import P256, Program, attributes

from ukey_emulator.cryptoki.wire import Attribute, Mechanism, Parameter
from ukey_emulator.terms import CKA, CKF, CKK, CKM, CKO, CKP, CKR, CKU

BASE = bytes.fromhex("329f84a9")
DATA = bytes.fromhex("89abcdef")
KEY = bytes(range(32))
OPEN = {"DERIVE": True, **LOOSE}


def string(kind: CKM, data: bytes = DATA) -> Mechanism:
    return Mechanism(kind, Parameter("STRING", (data,)))


def number(value: int) -> bytes:
    return struct.pack("<Q", value)


# The examples that the standard gives (PKCS#11 3.2 §6.43).
SIMPLE = {
    "base and data": (string(CKM.CONCATENATE_BASE_AND_DATA), {}, BASE + DATA),
    "data and base": (string(CKM.CONCATENATE_DATA_AND_BASE), {}, DATA + BASE),
    "base and part of data": (
        string(CKM.CONCATENATE_BASE_AND_DATA),
        {"VALUE_LEN": 5},
        BASE + DATA[:1],
    ),
    "exclusive or": (
        string(CKM.XOR_BASE_AND_DATA, DATA + b"more"),
        {},
        bytes(one ^ other for one, other in zip(BASE, DATA, strict=True)),
    ),
    "extraction": (
        Mechanism(CKM.EXTRACT_KEY_FROM_KEY, number(21)),
        {"VALUE_LEN": 2},
        bytes.fromhex("9526"),
    ),
    "digest": (
        Mechanism(CKM.SHA256_KEY_DERIVATION, None),
        {"KEY_TYPE": int(CKK.AES), "VALUE_LEN": 16},
        hashlib.sha256(BASE).digest()[:16],
    ),
    "truncated digest": (
        Mechanism(CKM.SHA512_256_KEY_DERIVATION, None),
        {},
        hashlib.new("sha512_256", BASE).digest(),
    ),
    "SHA-3 digest": (
        Mechanism(CKM.SHA3_512_KEY_DERIVATION, None),
        {},
        hashlib.sha3_512(BASE).digest(),
    ),
    "SHAKE": (
        Mechanism(CKM.SHAKE_256_KEY_DERIVATION, None),
        {"VALUE_LEN": 100},
        hashlib.shake_256(BASE).digest(100),
    ),
}


@pytest.mark.parametrize("name", SIMPLE)
def test_simple_derivations(program: Program, name: str) -> None:
    mechanism, template, expected = SIMPLE[name]
    session = program.open(user=CKU.USER)
    base = secret(program, session, BASE, **OPEN)
    made = derive(program, session, mechanism, base, **template)
    assert program.read(session, made, CKA.VALUE) == expected
    assert program.read(session, made, CKA.LOCAL) == b"\0"


@pytest.mark.parametrize(
    ("mechanism", "template", "code"),
    [
        (string(CKM.CONCATENATE_BASE_AND_DATA), {"VALUE_LEN": 9}, CKR.TEMPLATE_INCONSISTENT),
        (
            string(CKM.CONCATENATE_BASE_AND_DATA),
            {"KEY_TYPE": int(CKK.AES), "VALUE_LEN": 8},
            CKR.TEMPLATE_INCONSISTENT,
        ),
        (Mechanism(CKM.XOR_BASE_AND_DATA, None), {}, CKR.MECHANISM_PARAM_INVALID),
        (Mechanism(CKM.EXTRACT_KEY_FROM_KEY, number(3)), {}, CKR.TEMPLATE_INCOMPLETE),
        (
            Mechanism(CKM.EXTRACT_KEY_FROM_KEY, number(32)),
            {"VALUE_LEN": 1},
            CKR.MECHANISM_PARAM_INVALID,
        ),
        (
            Mechanism(CKM.SHA256_KEY_DERIVATION, None),
            {"VALUE_LEN": 33},
            CKR.TEMPLATE_INCONSISTENT,
        ),
        (Mechanism(CKM.SHA256_KEY_DERIVATION, b"x"), {}, CKR.MECHANISM_PARAM_INVALID),
        (Mechanism(CKM.CONCATENATE_BASE_AND_KEY, None), {}, CKR.MECHANISM_PARAM_INVALID),
        (Mechanism(CKM.CONCATENATE_BASE_AND_KEY, number(999)), {}, CKR.KEY_HANDLE_INVALID),
    ],
)
def test_what_is_not_derived(
    program: Program, mechanism: Mechanism, template: dict[str, Any], code: CKR
) -> None:
    session = program.open(user=CKU.USER)
    base = secret(program, session, BASE, **OPEN)
    wanted = attributes(**template)
    assert program.rv("C_DeriveKey", session, mechanism, base, wanted, True) == code
    assert program.find(session) == [base]


def flags(program: Program, session: int, key: int) -> tuple[bool, ...]:
    names = (CKA.SENSITIVE, CKA.EXTRACTABLE, CKA.ALWAYS_SENSITIVE, CKA.NEVER_EXTRACTABLE)
    return tuple(program.read(session, key, name) == b"\1" for name in names)


def test_two_keys_one_behind_the_other(program: Program) -> None:
    session = program.open(user=CKU.USER)
    one = secret(program, session, BASE, **OPEN)
    other = secret(program, session, DATA, **OPEN)
    closed = secret(program, session, DATA, DERIVE=True, SENSITIVE=True)

    def joined(key: int) -> Mechanism:
        return Mechanism(CKM.CONCATENATE_BASE_AND_KEY, number(key))

    made = derive(program, session, joined(other), one)
    assert program.read(session, made, CKA.VALUE) == BASE + DATA
    # What comes of a key that hides its value hides it too, whatever the template says.
    made = derive(program, session, joined(closed), one)
    assert flags(program, session, made) == (True, False, False, False)
    locked = secret(program, session, DATA, **LOOSE)
    code = program.rv("C_DeriveKey", session, joined(locked), one, [], True)
    assert code == CKR.KEY_FUNCTION_NOT_PERMITTED


def test_history_of_derived_keys(program: Program) -> None:
    session = program.open(user=CKU.USER)
    generate = Mechanism(CKM.GENERIC_SECRET_KEY_GEN, None)
    template = attributes(VALUE_LEN=16, DERIVE=True, SENSITIVE=True)
    base = program.C_GenerateKey(session, generate, template, True)
    made = derive(program, session, string(CKM.CONCATENATE_BASE_AND_DATA), base)
    assert flags(program, session, made) == (True, False, True, True)
    digest = Mechanism(CKM.SHA256_KEY_DERIVATION, None)
    assert flags(program, session, derive(program, session, digest, base)) == (
        False,
        True,
        False,
        False,
    )
    extract = Mechanism(CKM.EXTRACT_KEY_FROM_KEY, number(0))
    wanted = attributes(VALUE_LEN=4, SENSITIVE=False)
    code = program.rv("C_DeriveKey", session, extract, base, wanted, True)
    assert code == CKR.TEMPLATE_INCONSISTENT


def hkdf(*fields: Any, kind: CKM = CKM.HKDF_DERIVE) -> Mechanism:
    return Mechanism(kind, Parameter("HKDF", fields))


SHA256 = int(CKM.SHA256)
NULL, SALT, SALT_KEY = (
    int(CKF.HKDF_SALT_NULL),
    int(CKF.HKDF_SALT_DATA),
    int(CKF.HKDF_SALT_KEY),
)


@pytest.mark.parametrize("key_type", [CKK.HKDF, CKK.GENERIC_SECRET])
def test_hkdf(program: Program, key_type: CKK) -> None:
    session = program.open(user=CKU.USER)
    base = secret(program, session, KEY, key_type, **OPEN)
    salt_key = secret(program, session, b"salt", key_type, **OPEN)
    whole = HKDF(hashes.SHA256(), 42, b"salt", b"info").derive(KEY)
    for salt in ((SALT, b"salt", 0), (SALT_KEY, b"", salt_key)):
        made = derive(program, session, hkdf(1, 1, SHA256, *salt, b"info"), base, VALUE_LEN=42)
        assert program.read(session, made, CKA.VALUE) == whole
    extracted = derive(program, session, hkdf(1, 0, SHA256, NULL, b"", 0, b""), base)
    prk = HKDF.extract(hashes.SHA256(), None, KEY)
    assert program.read(session, extracted, CKA.VALUE) == prk
    expanded = derive(
        program,
        session,
        hkdf(0, 1, int(CKM.SHA512), NULL, b"", 0, b"info"),
        base,
        KEY_TYPE=int(CKK.AES),
        VALUE_LEN=32,
    )
    expected = HKDFExpand(hashes.SHA512(), 32, b"info").derive(KEY)
    assert program.read(session, expanded, CKA.VALUE) == expected


@pytest.mark.parametrize("info", [b"\0\x0ctls iv\0", b"\0\x0ctls quic iv\0", b"mine"])
def test_hkdf_gives_data_too(program: Program, info: bytes) -> None:
    session = program.open(user=CKU.USER)
    base = secret(program, session, KEY, CKK.HKDF, **OPEN)
    mechanism = hkdf(0, 1, SHA256, NULL, b"", 0, info, kind=CKM.HKDF_DATA)
    template = attributes(CLASS=int(CKO.DATA), VALUE_LEN=12, LABEL="iv")
    made = program.C_DeriveKey(session, mechanism, base, template, True)
    expected = HKDFExpand(hashes.SHA256(), 12, info).derive(KEY)
    assert program.read(session, made, CKA.VALUE) == expected
    assert program.find(session, CLASS=int(CKO.DATA)) == [made]


@pytest.mark.parametrize(
    ("fields", "template", "code"),
    [
        ((0, 0, SHA256, NULL, b"", 0, b""), {}, CKR.MECHANISM_PARAM_INVALID),
        ((1, 1, 0x7FFF, NULL, b"", 0, b""), {}, CKR.MECHANISM_PARAM_INVALID),
        ((1, 1, SHA256, 9, b"", 0, b""), {}, CKR.MECHANISM_PARAM_INVALID),
        ((1, 1, SHA256, SALT, None, 0, b""), {}, CKR.MECHANISM_PARAM_INVALID),
        ((1, 1, SHA256, SALT_KEY, b"", 999, b""), {}, CKR.KEY_HANDLE_INVALID),
        ((1, 0, SHA256, NULL, b"", 0, b""), {"VALUE_LEN": 16}, CKR.TEMPLATE_INCONSISTENT),
    ],
)
def test_hkdf_with_what_does_not_fit(
    program: Program, fields: tuple[Any, ...], template: dict[str, Any], code: CKR
) -> None:
    session = program.open(user=CKU.USER)
    base = secret(program, session, KEY, CKK.HKDF, **OPEN)
    wanted = attributes(**template)
    assert program.rv("C_DeriveKey", session, hkdf(*fields), base, wanted, True) == code


def pbkdf2(prf: CKP, iterations: int = 1000) -> Mechanism:
    fields = (1, b"salt", iterations, int(prf), b"", b"password")
    return Mechanism(CKM.PKCS5_PBKD2, Parameter("PBKD2", fields))


@pytest.mark.parametrize(
    ("prf", "name"),
    [
        (CKP.PKCS5_PBKD2_HMAC_SHA1, "sha1"),
        (CKP.PKCS5_PBKD2_HMAC_SHA256, "sha256"),
        (CKP.PKCS5_PBKD2_HMAC_SHA512_224, "sha512_224"),
    ],
)
def test_keys_of_passwords(program: Program, prf: CKP, name: str) -> None:
    session = program.open(user=CKU.USER)
    template = attributes(KEY_TYPE=int(CKK.AES), VALUE_LEN=32, **LOOSE)
    key = program.C_GenerateKey(session, pbkdf2(prf), template, True)
    expected = hashlib.pbkdf2_hmac(name, b"password", b"salt", 1000, 32)
    assert program.read(session, key, CKA.VALUE) == expected
    template = attributes(KEY_TYPE=int(CKK.DES3), **LOOSE)
    key = program.C_GenerateKey(session, pbkdf2(prf), template, True)
    assert len(program.read(session, key, CKA.VALUE)) == 24


def test_passwords_with_what_does_not_fit(program: Program) -> None:
    session = program.open(user=CKU.USER)
    template = attributes(KEY_TYPE=int(CKK.AES), VALUE_LEN=32)
    for mechanism in (
        pbkdf2(CKP.PKCS5_PBKD2_HMAC_GOSTR3411),
        pbkdf2(CKP.PKCS5_PBKD2_HMAC_SHA1, 0),
        Mechanism(CKM.PKCS5_PBKD2, None),
    ):
        code = program.rv("C_GenerateKey", session, mechanism, template, True)
        assert code == CKR.MECHANISM_PARAM_INVALID
    good = pbkdf2(CKP.PKCS5_PBKD2_HMAC_SHA1)
    for template, code in (
        (attributes(VALUE_LEN=32), CKR.TEMPLATE_INCOMPLETE),
        (attributes(KEY_TYPE=int(CKK.RSA)), CKR.TEMPLATE_INCONSISTENT),
        (attributes(KEY_TYPE=int(CKK.AES), VALUE_LEN=7), CKR.ATTRIBUTE_VALUE_INVALID),
    ):
        assert program.rv("C_GenerateKey", session, good, template, True) == code


ITERATION, COUNTER, LENGTH, BYTES, KEY_HANDLE = range(1, 6)


def part(kind: int, value: bytes = b"") -> Attribute:
    return Attribute(kind, value, len(value))


def counter(bits: int, *, little: bool = False) -> bytes:
    return struct.pack("<B7xQ", little, bits)


def length(bits: int) -> bytes:
    return struct.pack("<QB7xQ", 1, 0, bits)


def kbkdf(kind: CKM, prf: CKM, parts: list[Attribute], *more: Any) -> Mechanism:
    layout = "FEEDBACK_KBKDF" if kind is CKM.SP800_108_FEEDBACK_KDF else "KBKDF"
    return Mechanism(kind, Parameter(layout, (int(prf), parts, *more, 0)))


FIXED = [part(BYTES, b"label"), part(BYTES, b"\0"), part(BYTES, b"context")]


@pytest.mark.parametrize("prf", [CKM.SHA256_HMAC, CKM.SHA3_384_HMAC, CKM.AES_CMAC])
@pytest.mark.parametrize("size", [16, 32, 80])
def test_sp800_108_counter_mode(program: Program, prf: CKM, size: int) -> None:
    session = program.open(user=CKU.USER)
    base = secret(program, session, KEY, CKK.AES, **OPEN)
    parts = [part(ITERATION, counter(32)), *FIXED, part(LENGTH, length(32))]
    mechanism = kbkdf(CKM.SP800_108_COUNTER_KDF, prf, parts)
    made = derive(program, session, mechanism, base, VALUE_LEN=size)
    rest: Any = (Mode.CounterMode, size, 4, 4, CounterLocation.BeforeFixed)
    rest += (b"label", b"context", None)
    if prf is CKM.AES_CMAC:
        expected = KBKDFCMAC(algorithms.AES, *rest).derive(KEY)
    else:
        hashed = hashes.SHA256() if prf is CKM.SHA256_HMAC else hashes.SHA3_384()
        expected = KBKDFHMAC(hashed, *rest).derive(KEY)
    assert program.read(session, made, CKA.VALUE) == expected


def hmac_of(data: bytes) -> bytes:
    return hmac.digest(KEY, data, "sha256")


def test_sp800_108_feedback_and_double_pipeline(program: Program) -> None:
    session = program.open(user=CKU.USER)
    base = secret(program, session, KEY, **OPEN)
    other = secret(program, session, b"another", **OPEN)
    parts = [part(ITERATION), part(COUNTER, counter(8)), *FIXED, part(KEY_HANDLE, number(other))]
    fixed = b"label\0contextanother"
    mechanism = kbkdf(CKM.SP800_108_FEEDBACK_KDF, CKM.SHA256_HMAC, parts, b"iv")
    first = hmac_of(b"iv\1" + fixed)
    second = hmac_of(first + b"\2" + fixed)
    made = derive(program, session, mechanism, base, VALUE_LEN=50)
    assert program.read(session, made, CKA.VALUE) == (first + second)[:50]
    mechanism = kbkdf(CKM.SP800_108_DOUBLE_PIPELINE_KDF, CKM.SHA256_HMAC, parts)
    one = hmac_of(fixed)
    two = hmac_of(one)
    expected = hmac_of(one + b"\1" + fixed) + hmac_of(two + b"\2" + fixed)
    made = derive(program, session, mechanism, base, VALUE_LEN=50)
    assert program.read(session, made, CKA.VALUE) == expected[:50]


@pytest.mark.parametrize(
    ("parts", "template", "code"),
    [
        (FIXED, {"VALUE_LEN": 16}, CKR.MECHANISM_PARAM_INVALID),
        ([part(ITERATION)], {"VALUE_LEN": 16}, CKR.MECHANISM_PARAM_INVALID),
        ([part(ITERATION, counter(7))], {"VALUE_LEN": 16}, CKR.MECHANISM_PARAM_INVALID),
        ([part(ITERATION, counter(8)), part(99)], {"VALUE_LEN": 16}, CKR.MECHANISM_PARAM_INVALID),
        (
            [part(ITERATION, counter(8)), part(COUNTER, counter(8))],
            {"VALUE_LEN": 16},
            CKR.MECHANISM_PARAM_INVALID,
        ),
        (
            [part(ITERATION, counter(8)), part(BYTES)],
            {"VALUE_LEN": 16},
            CKR.MECHANISM_PARAM_INVALID,
        ),
        ([part(ITERATION, counter(8))], {}, CKR.TEMPLATE_INCOMPLETE),
    ],
)
def test_sp800_108_with_what_does_not_fit(
    program: Program, parts: list[Attribute], template: dict[str, Any], code: CKR
) -> None:
    session = program.open(user=CKU.USER)
    base = secret(program, session, KEY, **OPEN)
    mechanism = kbkdf(CKM.SP800_108_COUNTER_KDF, CKM.SHA256_HMAC, parts)
    wanted = attributes(**template)
    assert program.rv("C_DeriveKey", session, mechanism, base, wanted, True) == code


def test_sp800_108_takes_secrecy_from_its_base(program: Program) -> None:
    session = program.open(user=CKU.USER)
    mechanism = kbkdf(CKM.SP800_108_COUNTER_KDF, CKM.SHA256_HMAC, [part(ITERATION, counter(8))])
    for more, expected in (({"SENSITIVE": True}, (True, False)), (LOOSE, (False, True))):
        base = secret(program, session, KEY, DERIVE=True, **more)
        made = program.C_DeriveKey(session, mechanism, base, attributes(VALUE_LEN=16), True)
        assert flags(program, session, made)[:2] == expected


def test_sp800_108_keeps_the_history_of_any_of_its_keys(program: Program) -> None:
    """Of base and additional keys one that was always sensitive is enough (§6.42.8)."""
    session = program.open(user=CKU.USER)
    generate = Mechanism(CKM.GENERIC_SECRET_KEY_GEN, None)
    strict = attributes(VALUE_LEN=32, SENSITIVE=True, EXTRACTABLE=False, DERIVE=True)
    generated = program.C_GenerateKey(session, generate, strict, True)
    brought = secret(program, session, KEY, DERIVE=True, SENSITIVE=True)
    hidden = attributes(VALUE_LEN=16, SENSITIVE=True, EXTRACTABLE=False)
    for base, other, history in (
        (generated, brought, True),
        (brought, generated, True),
        (brought, brought, False),
    ):
        parts = [part(ITERATION, counter(8)), part(KEY_HANDLE, number(other))]
        mechanism = kbkdf(CKM.SP800_108_COUNTER_KDF, CKM.SHA256_HMAC, parts)
        made = program.C_DeriveKey(session, mechanism, base, hidden, True)
        assert flags(program, session, made) == (True, False, history, history)


def test_sp800_108_makes_no_additional_keys(program: Program) -> None:
    """Their handles cannot be given back, and so nothing at all is made."""
    session = program.open(user=CKU.USER)
    base = secret(program, session, KEY, **OPEN)
    parameter = Parameter("KBKDF", (int(CKM.SHA256_HMAC), [part(ITERATION, counter(8))], 1))
    mechanism = Mechanism(CKM.SP800_108_COUNTER_KDF, parameter)
    arguments = (session, mechanism, base, attributes(VALUE_LEN=16), True)
    assert program.rv("C_DeriveKey", *arguments) == CKR.MECHANISM_PARAM_INVALID
    assert program.find(session) == [base]


@pytest.mark.parametrize(
    ("kind", "public", "signing"),
    [
        (CKM.RSA_PKCS_KEY_PAIR_GEN, {"MODULUS_BITS": 2048}, CKM.SHA256_RSA_PKCS),
        (CKM.EC_KEY_PAIR_GEN, {"EC_PARAMS": P256}, CKM.ECDSA_SHA256),
        (CKM.EC_EDWARDS_KEY_PAIR_GEN, {"EC_PARAMS": bytes.fromhex("06032b6570")}, CKM.EDDSA),
    ],
)
def test_the_public_key_of_a_private_one(
    program: Program, kind: CKM, public: dict[str, object], signing: CKM
) -> None:
    session = program.open(user=CKU.USER)
    one, other = pair(program, session, kind, public, DERIVE=True, ID=b"id")
    mechanism = Mechanism(CKM.PUB_KEY_FROM_PRIV_KEY, None)
    made = program.C_DeriveKey(session, mechanism, other, attributes(LABEL="made"), True)
    for attribute in (CKA.PUBLIC_KEY_INFO, CKA.KEY_GEN_MECHANISM, CKA.KEY_TYPE):
        assert program.read(session, made, attribute) == program.read(session, one, attribute)
    assert program.read(session, made, CKA.ID) == b"id"
    signature = sign(program, session, Mechanism(signing, None), other, b"message")
    found = verify(program, session, Mechanism(signing, None), made, b"message", signature)
    assert found == CKR.OK
    code = program.rv("C_DeriveKey", session, mechanism, one, [], True)
    assert code in (CKR.KEY_FUNCTION_NOT_PERMITTED, CKR.KEY_TYPE_INCONSISTENT)
