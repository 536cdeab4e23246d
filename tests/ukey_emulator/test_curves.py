"""Curves: their names, the Edwards schemes of RFC 8032, agreement by RFC 7748."""

import hashlib
import struct

import pytest
from brought import derive, pair, private, public, sign, verify
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, x448, x25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
)
from program import Program, attributes

from ukey_emulator.cryptoki.wire import Mechanism, Parameter
from ukey_emulator.terms import CKA, CKD, CKK, CKM, CKO, CKR, CKU

EDDSA = Mechanism(CKM.EDDSA, None)
ED25519_OID = bytes.fromhex("06032b6570")
ED448_OID = bytes.fromhex("06032b6571")
X25519_OID = bytes.fromhex("06032b656e")
X448_OID = bytes.fromhex("06032b656f")


def curve_name(name: str) -> bytes:
    return b"\x13" + bytes([len(name)]) + name.encode()


def eddsa(prehashed: bool, context: bytes) -> Mechanism:
    return Mechanism(CKM.EDDSA, Parameter("EDDSA", (int(prehashed), context)))


@pytest.mark.parametrize(
    ("parameters", "name"),
    [
        (bytes.fromhex("06052b81040021"), "secp224r1"),
        (bytes.fromhex("06052b8104000a"), "secp256k1"),
        (bytes.fromhex("06082a8648ce3d030107"), "secp256r1"),
        (bytes.fromhex("06052b81040022"), "secp384r1"),
        (bytes.fromhex("06052b81040023"), "secp521r1"),
        (bytes.fromhex("06092b2403030208010107"), "brainpoolP256r1"),
        (curve_name("secp224r1"), "secp224r1"),
        (curve_name("prime256v1"), "secp256r1"),
        (curve_name("P-521"), "secp521r1"),
    ],
)
def test_curves_by_identifier_and_by_name(program: Program, parameters: bytes, name: str) -> None:
    session = program.open(user=CKU.USER)
    one, other = pair(program, session, CKM.EC_KEY_PAIR_GEN, {"EC_PARAMS": parameters})
    assert program.read(session, other, CKA.EC_PARAMS) == parameters
    key = load_der_public_key(program.read(session, one, CKA.PUBLIC_KEY_INFO))
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert key.curve.name == name
    for kind in (CKM.ECDSA_SHA256, CKM.ECDSA_SHA3_512):
        mechanism = Mechanism(kind, None)
        signature = sign(program, session, mechanism, other, b"message", step=3)
        assert len(signature) == 2 * ((key.key_size + 7) // 8)
        assert verify(program, session, mechanism, one, b"message", signature) == CKR.OK
        assert verify(program, session, mechanism, one, b"other", signature) != CKR.OK


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        (bytes.fromhex("06052b810400ff"), CKR.CURVE_NOT_SUPPORTED),
        (ED25519_OID, CKR.CURVE_NOT_SUPPORTED),
        (curve_name("edwards25519"), CKR.CURVE_NOT_SUPPORTED),
        (b"\5\0", CKR.DOMAIN_PARAMS_INVALID),
        (b"", CKR.DOMAIN_PARAMS_INVALID),
        (b"\x06\x05\x2b", CKR.DOMAIN_PARAMS_INVALID),
    ],
)
def test_what_names_no_curve(program: Program, parameters: bytes, code: CKR) -> None:
    session = program.open(user=CKU.USER)
    generate = Mechanism(CKM.EC_KEY_PAIR_GEN, None)
    arguments = (session, generate, attributes(EC_PARAMS=parameters), [], True, True)
    assert program.rv("C_GenerateKeyPair", *arguments) == code


@pytest.mark.parametrize(
    ("parameters", "length"),
    [
        (ED25519_OID, 32),
        (curve_name("edwards25519"), 32),
        (bytes.fromhex("06092b06010401da470f01"), 32),
        (ED448_OID, 57),
        (curve_name("edwards448"), 57),
    ],
)
def test_edwards_pairs_sign_purely(program: Program, parameters: bytes, length: int) -> None:
    session = program.open(user=CKU.USER)
    one, other = pair(program, session, CKM.EC_EDWARDS_KEY_PAIR_GEN, {"EC_PARAMS": parameters})
    key = load_der_public_key(program.read(session, one, CKA.PUBLIC_KEY_INFO))
    assert isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey)
    assert program.read(session, one, CKA.EC_POINT) == key.public_bytes_raw()
    assert program.read(session, other, CKA.EC_PARAMS) == parameters
    signature = sign(program, session, EDDSA, other, b"message in parts", step=5)
    assert len(signature) == 2 * length
    key.verify(signature, b"message in parts")
    assert verify(program, session, EDDSA, one, b"message in parts", signature) == CKR.OK
    assert verify(program, session, EDDSA, one, b"another", signature) == CKR.SIGNATURE_INVALID
    assert verify(program, session, EDDSA, one, b"", signature[1:]) == CKR.SIGNATURE_LEN_RANGE


# RFC 8032 §7.2 to §7.5: curve, secret, context, prehashed, message, signature.
SCHEMES = {
    "Ed25519ctx": (
        "edwards25519",
        "0305334e381af78f141cb666f6199f57bc3495335a256a95bd2a55bf546663f6",
        (b"foo", False, "f726936d19c800494e3fdaff20b276a8"),
        """55a4cc2f70a54e04288c5f4cd1e45a7bb520b36292911876cada7323198dd87a
        8b36950b95130022907a7fb7c4e9b2d5f6cca685a587b4b21f4b888e4e7edb0d""",
    ),
    "Ed25519ph": (
        "edwards25519",
        "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
        (b"", True, "616263"),
        """98a70222f0b8121aa9d30f813d683f809e462b469c7ff87639499bb94e6dae41
        31f85042463c2a355a2003d062adf5aaa10b8c61e636062aaad11c2a26083406""",
    ),
    "Ed448": (
        "edwards448",
        """c4eab05d357007c632f3dbb48489924d552b08fe0c353a0d4a1f00acda2c463a
        fbea67c5e8d2877c5e3bc397a659949ef8021e954e0a12274e""",
        (b"foo", False, "03"),
        """d4f8f6131770dd46f40867d6fd5d5055de43541f8c5e35abbcd001b32a89f7d2
        151f7647f11d8ca2ae279fb842d607217fce6e042f6815ea000c85741de5c8da
        1144a6a1aba7f96de42505d7a7298524fda538fccbbb754f578c1cad10d54d0d
        5428407e85dcbc98a49155c13764e66c3c00""",
    ),
    "Ed448ph": (
        "edwards448",
        """833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42
        ef7822e0d5104127dc05d6dbefde69e3ab2cec7c867c6e2c49""",
        (b"", True, "616263"),
        """822f6901f7480f3d5f562c592994d9693602875614483256505600bbc281ae38
        1f54d6bce2ea911574932f52a4e6cadd78769375ec3ffd1b801a0d9b3f4030cd
        433964b6457ea39476511214f97469b57dd32dbc560a9a94d00bff07620464a3
        ad203df7dc7ce360c3cd3696d9d9fab90f00""",
    ),
}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_schemes_of_rfc_8032(program: Program, scheme: str) -> None:
    name, value, (context, prehashed, message), signature = SCHEMES[scheme]
    session = program.open(user=CKU.USER)
    curve = {"EC_PARAMS": curve_name(name)}
    other = private(program, session, CKK.EC_EDWARDS, VALUE=bytes.fromhex(value), **curve)
    key = load_der_public_key(program.read(session, other, CKA.PUBLIC_KEY_INFO))
    assert isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey)
    one = public(program, session, CKK.EC_EDWARDS, EC_POINT=key.public_bytes_raw(), **curve)
    mechanism, data = eddsa(prehashed, context), bytes.fromhex(message)
    made = sign(program, session, mechanism, other, data)
    assert made == bytes.fromhex(signature)
    assert verify(program, session, mechanism, one, data, made) == CKR.OK
    spoilt = bytes([made[0] ^ 1]) + made[1:]
    assert verify(program, session, mechanism, one, data, spoilt) == CKR.SIGNATURE_INVALID
    other_context = eddsa(prehashed, b"bar")
    assert verify(program, session, other_context, one, data, made) == CKR.SIGNATURE_INVALID


def test_a_curve_named_by_rfc_8410_signs_purely_until_more_is_asked(program: Program) -> None:
    """An empty context is none for it: by its name such a key is one of PureEdDSA."""
    session = program.open(user=CKU.USER)
    curve = {"EC_PARAMS": ED25519_OID}
    one, other = pair(program, session, CKM.EC_EDWARDS_KEY_PAIR_GEN, curve)
    signature = sign(program, session, eddsa(False, b""), other, b"m")
    assert verify(program, session, EDDSA, one, b"m", signature) == CKR.OK
    for mechanism in (eddsa(True, b""), eddsa(False, b"context")):
        signature = sign(program, session, mechanism, other, b"m")
        assert verify(program, session, mechanism, one, b"m", signature) == CKR.OK
        assert verify(program, session, EDDSA, one, b"m", signature) == CKR.SIGNATURE_INVALID
    code = program.rv("C_SignInit", session, Mechanism(CKM.EDDSA, b"12345678"), other)
    assert code == CKR.MECHANISM_PARAM_INVALID


@pytest.mark.parametrize("head", ["", "0420", "032100"])
def test_points_as_the_standard_and_as_earlier_programs_have_them(
    program: Program, head: str
) -> None:
    session = program.open(user=CKU.USER)
    point = ed25519.Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    key = public(
        program,
        session,
        CKK.EC_EDWARDS,
        EC_PARAMS=ED25519_OID,
        EC_POINT=bytes.fromhex(head) + point,
    )
    assert program.read(session, key, CKA.EC_POINT) == point


def test_a_point_of_another_length(program: Program) -> None:
    session = program.open(user=CKU.USER)
    template = attributes(
        CLASS=int(CKO.PUBLIC_KEY),
        KEY_TYPE=int(CKK.EC_EDWARDS),
        EC_PARAMS=ED448_OID,
        EC_POINT=bytes(32),
    )
    code = program.rv("C_CreateObject", session, template, True)
    assert code == CKR.ATTRIBUTE_VALUE_INVALID


def ecdh(kdf: CKD, shared: bytes, point: bytes) -> Mechanism:
    return Mechanism(CKM.ECDH1_DERIVE, Parameter("ECDH1", (int(kdf), shared, point)))


@pytest.mark.parametrize(
    ("parameters", "length"),
    [
        (X25519_OID, 32),
        (curve_name("curve25519"), 32),
        (bytes.fromhex("060a2b060104019755010501"), 32),
        (X448_OID, 56),
        (curve_name("curve448"), 56),
    ],
)
def test_montgomery_pairs_agree(program: Program, parameters: bytes, length: int) -> None:
    session = program.open(user=CKU.USER)
    kind = CKM.EC_MONTGOMERY_KEY_PAIR_GEN
    one, other = pair(program, session, kind, {"EC_PARAMS": parameters}, DERIVE=True)
    key = load_der_public_key(program.read(session, one, CKA.PUBLIC_KEY_INFO))
    assert program.read(session, one, CKA.EC_POINT) == key.public_bytes_raw()
    if isinstance(key, x25519.X25519PublicKey):
        peer = x25519.X25519PrivateKey.generate()
    else:
        assert isinstance(key, x448.X448PublicKey)
        peer = x448.X448PrivateKey.generate()
    common = peer.exchange(key)
    assert len(common) == length
    point = peer.public_key().public_bytes_raw()
    whole = derive(program, session, ecdh(CKD.NULL, b"", point), other)
    assert program.read(session, whole, CKA.VALUE) == common
    cut = derive(program, session, ecdh(CKD.NULL, b"", point), other, VALUE_LEN=16)
    assert program.read(session, cut, CKA.VALUE) == common[-16:]
    for bad in (bytes(length), b"short"):
        code = program.rv("C_DeriveKey", session, ecdh(CKD.NULL, b"", bad), other, [], True)
        assert code == CKR.MECHANISM_PARAM_INVALID


def test_points_that_begin_like_a_string(program: Program) -> None:
    session = program.open(user=CKU.USER)
    p256 = bytes.fromhex("06082a8648ce3d030107")
    _, other = pair(program, session, CKM.EC_KEY_PAIR_GEN, {"EC_PARAMS": p256}, DERIVE=True)
    peer = next(
        key
        for key in (ec.derive_private_key(number, ec.SECP256R1()) for number in range(1, 9999))
        if key.public_key().public_numbers().x >> 248 == 63
    )
    for form in (PublicFormat.UncompressedPoint, PublicFormat.CompressedPoint):
        point = peer.public_key().public_bytes(Encoding.X962, form)
        string = b"\4" + bytes([len(point)]) + point
        secrets = {
            program.read(
                session, derive(program, session, ecdh(CKD.NULL, b"", form_), other), CKA.VALUE
            )
            for form_ in (point, string)
        }
        assert len(secrets) == 1


@pytest.mark.parametrize(
    ("kdf", "name"),
    [
        (CKD.SHA1_KDF, "sha1"),
        (CKD.SHA512_KDF, "sha512"),
        (CKD.SHA3_256_KDF, "sha3_256"),
        (CKD.SHA256_KDF_SP800, "sha256"),
        (CKD.SHA3_384_KDF_SP800, "sha3_384"),
    ],
)
def test_kdfs_spread_the_secret(program: Program, kdf: CKD, name: str) -> None:
    session = program.open(user=CKU.USER)
    curve = {"EC_PARAMS": X25519_OID}
    one, other = pair(program, session, CKM.EC_MONTGOMERY_KEY_PAIR_GEN, curve, DERIVE=True)
    peer = x25519.X25519PrivateKey.generate()
    key = load_der_public_key(program.read(session, one, CKA.PUBLIC_KEY_INFO))
    assert isinstance(key, x25519.X25519PublicKey)
    common = peer.exchange(key)
    mechanism = ecdh(kdf, b"shared", peer.public_key().public_bytes_raw())
    made = derive(program, session, mechanism, other, KEY_TYPE=int(CKK.AES), VALUE_LEN=32)
    first, second = struct.pack(">I", 1), struct.pack(">I", 2)
    if "SP800" in kdf.name:
        blocks = [counter + common + b"shared" for counter in (first, second)]
    else:
        blocks = [common + counter + b"shared" for counter in (first, second)]
    expected = b"".join(hashlib.new(name, block).digest() for block in blocks)[:32]
    assert program.read(session, made, CKA.VALUE) == expected
