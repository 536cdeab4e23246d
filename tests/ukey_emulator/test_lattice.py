"""ML-DSA and ML-KEM, judged by the library; the published vectors stand in test_vectors.py."""

import hashlib
import struct
from typing import Any

import pytest
from brought import LOOSE, pair, private, public, secret, sign, verify
from cryptography.hazmat.primitives import keywrap
from cryptography.hazmat.primitives.asymmetric import mldsa, mlkem
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
    load_der_public_key,
)
from program import ROOM, Program, attributes

from ukey_emulator.chip.keys import fips204
from ukey_emulator.cryptoki.wire import Mechanism, Out, Parameter
from ukey_emulator.terms import CKA, CKH, CKK, CKM, CKO, CKP, CKR, CKU

WIDE = Out(asked=True, capacity=8192)
ML_DSA = Mechanism(CKM.ML_DSA, None)
ML_KEM = Mechanism(CKM.ML_KEM, None)
SIGNING = {
    CKP.ML_DSA_44: (mldsa.MLDSA44PrivateKey, 2420),
    CKP.ML_DSA_65: (mldsa.MLDSA65PrivateKey, 3309),
    CKP.ML_DSA_87: (mldsa.MLDSA87PrivateKey, 4627),
}


def signed(program: Program, session: int, mechanism: Mechanism, key: int, data: bytes) -> bytes:
    program.C_SignInit(session, mechanism, key)
    return bytes(program.C_Sign(session, data, WIDE))


def with_context(kind: CKM, context: bytes, hedge: CKH = CKH.HEDGE_PREFERRED) -> Mechanism:
    return Mechanism(kind, Parameter("CONTEXT", (int(hedge), context)))


@pytest.mark.parametrize("chosen", SIGNING)
def test_ml_dsa_pairs(program: Program, chosen: CKP) -> None:
    session = program.open(user=CKU.USER)
    one, other = pair(
        program, session, CKM.ML_DSA_KEY_PAIR_GEN, {"PARAMETER_SET": int(chosen)}, **LOOSE
    )
    key = load_der_public_key(program.read(session, one, CKA.PUBLIC_KEY_INFO))
    known = SIGNING[chosen][0].from_seed_bytes(program.read(session, other, CKA.SEED))
    assert key == known.public_key()
    assert program.read(session, one, CKA.VALUE) == known.public_key().public_bytes_raw()
    assert program.read(session, other, CKA.PARAMETER_SET) == struct.pack("<Q", chosen)
    for mechanism, context in ((ML_DSA, b""), (with_context(CKM.ML_DSA, b"context"), b"context")):
        signature = signed(program, session, mechanism, other, b"message")
        assert len(signature) == SIGNING[chosen][1]
        known.public_key().verify(signature, b"message", context)
        made = known.sign(b"message", context)
        assert verify(program, session, mechanism, one, b"message", made) == CKR.OK
        assert verify(program, session, mechanism, one, b"massage", made) == CKR.SIGNATURE_INVALID
        code = verify(program, session, mechanism, one, b"message", made[:-1])
        assert code == CKR.SIGNATURE_LEN_RANGE


@pytest.mark.parametrize("chosen", SIGNING)
def test_ml_dsa_keys_without_their_seed(program: Program, chosen: CKP) -> None:
    session = program.open(user=CKU.USER)
    known = SIGNING[chosen][0].generate()
    parameters = {1: fips204.ML_DSA_44, 2: fips204.ML_DSA_65, 3: fips204.ML_DSA_87}[int(chosen)]
    _, value = fips204.expand(parameters, known.private_bytes_raw())
    key = private(program, session, CKK.ML_DSA, PARAMETER_SET=int(chosen), VALUE=value)
    signature = signed(program, session, ML_DSA, key, b"message")
    known.public_key().verify(signature, b"message")
    assert signature != signed(program, session, ML_DSA, key, b"message")
    same = with_context(CKM.ML_DSA, b"", CKH.DETERMINISTIC_REQUIRED)
    first = signed(program, session, same, key, b"message")
    assert first == signed(program, session, same, key, b"message")
    known.public_key().verify(first, b"message")
    brought = public(
        program,
        session,
        CKK.ML_DSA,
        PARAMETER_SET=int(chosen),
        VALUE=known.public_key().public_bytes_raw(),
    )
    assert verify(program, session, ML_DSA, brought, b"message", first) == CKR.OK


HASHED = {
    CKM.HASH_ML_DSA_SHA224: "sha224",
    CKM.HASH_ML_DSA_SHA256: "sha256",
    CKM.HASH_ML_DSA_SHA3_512: "sha3_512",
    CKM.HASH_ML_DSA_SHAKE128: "shake_128",
    CKM.HASH_ML_DSA_SHAKE256: "shake_256",
}
ARCS = {"sha224": 4, "sha256": 1, "sha3_512": 10, "shake_128": 11, "shake_256": 12}


@pytest.mark.parametrize("kind", HASHED)
def test_ml_dsa_of_a_digest(program: Program, kind: CKM) -> None:
    session = program.open(user=CKU.USER)
    one, other = pair(program, session, CKM.ML_DSA_KEY_PAIR_GEN, {"PARAMETER_SET": 1})
    name = HASHED[kind]
    context = hashlib.new(name, b"message in parts")
    length = {"shake_128": (32,), "shake_256": (64,)}.get(name, ())
    digest = context.digest(*length)
    key = load_der_public_key(program.read(session, one, CKA.PUBLIC_KEY_INFO))
    assert isinstance(key, mldsa.MLDSA44PublicKey)
    identifier = bytes.fromhex("0609608648016503040200")[:-1] + bytes([ARCS[name]])
    tr = hashlib.shake_256(key.public_bytes_raw()).digest(64)
    mu = hashlib.shake_256(tr + b"\1\3ctx" + identifier + digest).digest(64)
    mechanism = with_context(kind, b"ctx")
    signature = sign(program, session, mechanism, other, b"message in parts", 5)
    key.verify_mu(signature, mu)
    assert verify(program, session, mechanism, one, b"message in parts", signature) == CKR.OK
    if kind is CKM.HASH_ML_DSA_SHA256:
        given = Mechanism(CKM.HASH_ML_DSA, Parameter("HASH_CONTEXT", (0, b"ctx", int(CKM.SHA256))))
        assert verify(program, session, given, one, digest, signature) == CKR.OK
        assert verify(program, session, given, one, digest[1:], signature) == CKR.DATA_LEN_RANGE


@pytest.mark.parametrize(
    "mechanism",
    [
        Mechanism(CKM.ML_DSA, b"parameter"),
        Mechanism(CKM.ML_DSA, Parameter("CONTEXT", (3, b""))),
        Mechanism(CKM.ML_DSA, Parameter("CONTEXT", (0, bytes(256)))),
        Mechanism(CKM.HASH_ML_DSA, None),
        Mechanism(CKM.HASH_ML_DSA, Parameter("HASH_CONTEXT", (0, b"", int(CKM.AES_CBC)))),
    ],
)
def test_ml_dsa_with_wrong_parameters(program: Program, mechanism: Mechanism) -> None:
    session = program.open(user=CKU.USER)
    _, other = pair(program, session, CKM.ML_DSA_KEY_PAIR_GEN, {"PARAMETER_SET": 1})
    assert program.rv("C_SignInit", session, mechanism, other) == CKR.MECHANISM_PARAM_INVALID


SETS = {CKP.ML_KEM_512: 768, CKP.ML_KEM_768: 1088, CKP.ML_KEM_1024: 1568}


@pytest.mark.parametrize("chosen", SETS)
def test_ml_kem_pairs(program: Program, chosen: CKP) -> None:
    session = program.open(user=CKU.USER)
    material = {"PARAMETER_SET": int(chosen)}
    one, other = pair(program, session, CKM.ML_KEM_KEY_PAIR_GEN, material, **LOOSE)
    value = program.read(session, other, CKA.VALUE)
    unseeded = private(program, session, CKK.ML_KEM, VALUE=value, **material)
    template = attributes(KEY_TYPE=int(CKK.AES), VALUE_LEN=32, SENSITIVE=False)
    ciphertext, key = program.C_EncapsulateKey(session, ML_KEM, one, template, ROOM, True)
    assert len(ciphertext) == SETS[chosen]
    shared = program.read(session, key, CKA.VALUE)
    for owner in (other, unseeded):
        back = program.C_DecapsulateKey(session, ML_KEM, owner, template, ciphertext, True)
        assert program.read(session, back, CKA.VALUE) == shared
        # A ciphertext of the right length is never refused, its secret only is another.
        spoilt = bytes([ciphertext[0] ^ 1]) + ciphertext[1:]
        back = program.C_DecapsulateKey(session, ML_KEM, owner, template, spoilt, True)
        assert program.read(session, back, CKA.VALUE) != shared
        arguments = (session, ML_KEM, owner, template, ciphertext[:-1], True)
        assert program.rv("C_DecapsulateKey", *arguments) == CKR.WRAPPED_KEY_LEN_RANGE
    too_long = attributes(VALUE_LEN=33)
    code = program.rv("C_EncapsulateKey", session, ML_KEM, one, too_long, ROOM, True)
    assert code == CKR.TEMPLATE_INCONSISTENT


@pytest.mark.parametrize(
    ("chosen", "kind"),
    [(CKP.ML_KEM_768, mlkem.MLKEM768PrivateKey), (CKP.ML_KEM_1024, mlkem.MLKEM1024PrivateKey)],
)
def test_ml_kem_is_judged_from_outside(program: Program, chosen: CKP, kind: Any) -> None:
    session = program.open(user=CKU.USER)
    known = kind.generate()
    raw = known.public_key().public_bytes_raw()
    one = public(program, session, CKK.ML_KEM, PARAMETER_SET=int(chosen), VALUE=raw)
    assert load_der_public_key(program.read(session, one, CKA.PUBLIC_KEY_INFO)) == (
        known.public_key()
    )
    template = attributes(SENSITIVE=False)
    ciphertext, key = program.C_EncapsulateKey(session, ML_KEM, one, template, ROOM, True)
    assert program.read(session, key, CKA.VALUE) == known.decapsulate(ciphertext)
    seed = known.private_bytes_raw()
    other = private(program, session, CKK.ML_KEM, PARAMETER_SET=int(chosen), SEED=seed)
    shared, ciphertext = known.public_key().encapsulate()
    back = program.C_DecapsulateKey(session, ML_KEM, other, template, ciphertext, True)
    assert program.read(session, back, CKA.VALUE) == shared


@pytest.mark.parametrize(
    ("key_type", "material", "code"),
    [
        (CKK.ML_KEM, {"PARAMETER_SET": 9, "SEED": bytes(64)}, CKR.PARAMETER_SET_NOT_SUPPORTED),
        (CKK.ML_KEM, {"PARAMETER_SET": 1}, CKR.TEMPLATE_INCOMPLETE),
        (CKK.ML_KEM, {"SEED": bytes(64)}, CKR.TEMPLATE_INCOMPLETE),
        (CKK.ML_KEM, {"PARAMETER_SET": 1, "SEED": bytes(63)}, CKR.ATTRIBUTE_VALUE_INVALID),
        (CKK.ML_KEM, {"PARAMETER_SET": 1, "VALUE": bytes(1632)}, CKR.ATTRIBUTE_VALUE_INVALID),
        (
            CKK.ML_KEM,
            {"PARAMETER_SET": 1, "SEED": bytes(64), "VALUE": bytes(1632)},
            CKR.ATTRIBUTE_VALUE_INVALID,
        ),
        (CKK.ML_DSA, {"PARAMETER_SET": 4, "SEED": bytes(32)}, CKR.PARAMETER_SET_NOT_SUPPORTED),
        (CKK.ML_DSA, {"PARAMETER_SET": 1, "SEED": bytes(64)}, CKR.ATTRIBUTE_VALUE_INVALID),
        (CKK.ML_DSA, {"PARAMETER_SET": 1, "VALUE": bytes(2560)}, CKR.ATTRIBUTE_VALUE_INVALID),
    ],
)
def test_what_is_no_private_key(
    program: Program, key_type: CKK, material: dict[str, Any], code: CKR
) -> None:
    session = program.open(user=CKU.USER)
    template = attributes(CLASS=int(CKO.PRIVATE_KEY), KEY_TYPE=int(key_type), **material)
    assert program.rv("C_CreateObject", session, template, True) == code


def test_what_is_no_public_key(program: Program) -> None:
    session = program.open(user=CKU.USER)
    for key_type, value in (
        (CKK.ML_KEM, bytes(799)),
        (CKK.ML_KEM, b"\xff" * 800),
        (CKK.ML_DSA, bytes(1311)),
    ):
        template = attributes(
            CLASS=int(CKO.PUBLIC_KEY), KEY_TYPE=int(key_type), PARAMETER_SET=1, VALUE=value
        )
        code = program.rv("C_CreateObject", session, template, True)
        assert code == CKR.ATTRIBUTE_VALUE_INVALID


WRAPPING = Mechanism(CKM.AES_KEY_WRAP_KWP, None)


@pytest.mark.parametrize(
    ("key_type", "kind", "chosen"),
    [
        (CKK.ML_DSA, CKM.ML_DSA_KEY_PAIR_GEN, 2),
        (CKK.ML_KEM, CKM.ML_KEM_KEY_PAIR_GEN, 1),
        (CKK.ML_KEM, CKM.ML_KEM_KEY_PAIR_GEN, 3),
    ],
)
@pytest.mark.parametrize("seeded", [True, False])
def test_lattice_keys_are_wrapped(
    program: Program, key_type: CKK, kind: CKM, chosen: int, *, seeded: bool
) -> None:
    session = program.open(user=CKU.USER)
    material = {"PARAMETER_SET": chosen}
    _, key = pair(program, session, kind, material, **LOOSE)
    value = program.read(session, key, CKA.VALUE)
    if not seeded:
        key = private(program, session, key_type, VALUE=value, **material, **LOOSE)
    wrapping = secret(program, session, bytes(16), CKK.AES)
    wrapped = program.C_WrapKey(session, WRAPPING, wrapping, key, Out(True, 8192))
    template = attributes(CLASS=int(CKO.PRIVATE_KEY), KEY_TYPE=int(key_type), **LOOSE)
    back = program.C_UnwrapKey(session, WRAPPING, wrapping, wrapped, template, True)
    assert program.read(session, back, CKA.VALUE) == value
    info = CKA.PUBLIC_KEY_INFO
    assert program.read(session, back, info) == program.read(session, key, info)


def test_a_wrapping_of_the_library_is_unwrapped(program: Program) -> None:
    session = program.open(user=CKU.USER)
    wrapping = secret(program, session, bytes(16), CKK.AES)
    for known, key_type in (
        (mldsa.MLDSA65PrivateKey.generate(), CKK.ML_DSA),
        (mlkem.MLKEM768PrivateKey.generate(), CKK.ML_KEM),
    ):
        clear = known.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        wrapped = keywrap.aes_key_wrap_with_padding(bytes(16), clear)
        template = attributes(CLASS=int(CKO.PRIVATE_KEY), KEY_TYPE=int(key_type), **LOOSE)
        back = program.C_UnwrapKey(session, WRAPPING, wrapping, wrapped, template, True)
        assert program.read(session, back, CKA.SEED) == known.private_bytes_raw()
        again = program.C_WrapKey(session, WRAPPING, wrapping, back, Out(True, 8192))
        loaded = load_der_private_key(keywrap.aes_key_unwrap_with_padding(bytes(16), again), None)
        assert loaded.public_key() == known.public_key()
