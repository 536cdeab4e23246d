"""Keys that go to the owner of a public key: encapsulated, or wrapped by way of an AES key."""

import pytest
from brought import LOOSE, pair, secret, sign, verify
from cryptography.hazmat.primitives import hashes, keywrap
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, x25519
from cryptography.hazmat.primitives.kdf.x963kdf import X963KDF
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
)
from program import P256, ROOM, Program, attributes

from ukey_emulator.cryptoki.wire import Attribute, Mechanism, Out, Parameter
from ukey_emulator.terms import CKA, CKD, CKG, CKK, CKM, CKO, CKR, CKU

X25519 = {"EC_PARAMS": bytes.fromhex("06032b656e")}
ENCAPSULATE = {"ENCAPSULATE": True}
DECAPSULATE = {"DECAPSULATE": True}
OAEP = ("OAEP", (int(CKM.SHA256), int(CKG.MGF1_SHA256), 1, b"label"))
ECDH = Mechanism(CKM.ECDH1_DERIVE, Parameter("ECDH1", (int(CKD.SHA256_KDF), b"info", b"")))
PLAIN_ECDH = Mechanism(CKM.ECDH1_DERIVE, Parameter("ECDH1", (int(CKD.NULL), b"", b"")))

SCHEMES = {
    "RSA PKCS": (CKM.RSA_PKCS_KEY_PAIR_GEN, {"MODULUS_BITS": 2048}, Mechanism(CKM.RSA_PKCS, None)),
    "RSA OAEP": (
        CKM.RSA_PKCS_KEY_PAIR_GEN,
        {"MODULUS_BITS": 2048},
        Mechanism(CKM.RSA_PKCS_OAEP, Parameter(*OAEP)),
    ),
    "RSASVE": (CKM.RSA_PKCS_KEY_PAIR_GEN, {"MODULUS_BITS": 2048}, Mechanism(CKM.RSA_X_509, None)),
    "P-256": (CKM.EC_KEY_PAIR_GEN, {"EC_PARAMS": P256}, ECDH),
    "P-256 without a KDF": (CKM.EC_KEY_PAIR_GEN, {"EC_PARAMS": P256}, PLAIN_ECDH),
    "X25519": (CKM.EC_MONTGOMERY_KEY_PAIR_GEN, X25519, ECDH),
}


@pytest.mark.parametrize("name", SCHEMES)
def test_what_is_encapsulated_is_decapsulated(program: Program, name: str) -> None:
    kind, material, mechanism = SCHEMES[name]
    session = program.open(user=CKU.USER)
    public, private = pair(program, session, kind, {**material, **ENCAPSULATE}, **DECAPSULATE)
    template = attributes(KEY_TYPE=int(CKK.AES), VALUE_LEN=16, SENSITIVE=False)
    length, key = program.C_EncapsulateKey(
        session, mechanism, public, template, Out(True, None), True
    )
    assert key is None
    short = (session, mechanism, public, template, Out(True, length - 1), True)
    found = program.face.call(program.application, "C_EncapsulateKey", short)
    assert found == (CKR.BUFFER_TOO_SMALL, (length, None))
    assert program.find(session, CLASS=int(CKO.SECRET_KEY)) == []
    ciphertext, key = program.C_EncapsulateKey(
        session, mechanism, public, template, Out(True, length), True
    )
    assert len(ciphertext) == length
    back = program.C_DecapsulateKey(session, mechanism, private, template, ciphertext, True)
    assert program.read(session, back, CKA.VALUE) == program.read(session, key, CKA.VALUE)
    for made in (key, back):
        assert program.read(session, made, CKA.EXTRACTABLE) == b"\1"
        for attribute in (CKA.LOCAL, CKA.ALWAYS_SENSITIVE, CKA.NEVER_EXTRACTABLE):
            assert program.read(session, made, attribute) == b"\0"
    arguments = (session, mechanism, private, template, ciphertext[:-1], True)
    code = program.rv("C_DecapsulateKey", *arguments)
    assert code in (CKR.WRAPPED_KEY_LEN_RANGE, CKR.WRAPPED_KEY_INVALID)


def test_encapsulation_is_judged_from_outside(program: Program) -> None:
    session = program.open(user=CKU.USER)
    public, private = pair(
        program, session, CKM.EC_KEY_PAIR_GEN, {"EC_PARAMS": P256, **ENCAPSULATE}, **DECAPSULATE
    )
    own = ec.generate_private_key(ec.SECP256R1())
    point = own.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    peer = load_der_public_key(program.read(session, public, CKA.PUBLIC_KEY_INFO))
    assert isinstance(peer, ec.EllipticCurvePublicKey)
    common = own.exchange(ec.ECDH(), peer)
    template = attributes(KEY_TYPE=int(CKK.AES), VALUE_LEN=32, SENSITIVE=False)
    key = program.C_DecapsulateKey(session, ECDH, private, template, point, True)
    assert program.read(session, key, CKA.VALUE) == X963KDF(hashes.SHA256(), 32, b"info").derive(
        common
    )


def test_what_is_not_encapsulated(program: Program) -> None:
    session = program.open(user=CKU.USER)
    closed, shut = pair(program, session, CKM.EC_KEY_PAIR_GEN, {"EC_PARAMS": P256})
    template = attributes(KEY_TYPE=int(CKK.AES), VALUE_LEN=16)
    forbidden = CKR.KEY_FUNCTION_NOT_PERMITTED
    seal = (session, ECDH, closed, template, ROOM, True)
    assert program.rv("C_EncapsulateKey", *seal) == forbidden
    unseal = (session, ECDH, shut, template, bytes(65), True)
    assert program.rv("C_DecapsulateKey", *unseal) == forbidden
    public, private = pair(
        program, session, CKM.EC_KEY_PAIR_GEN, {"EC_PARAMS": P256, **ENCAPSULATE}, **DECAPSULATE
    )
    for mechanism, wanted, code in (
        (Mechanism(CKM.ECDSA, None), template, CKR.MECHANISM_INVALID),
        (Mechanism(CKM.RSA_PKCS, None), template, CKR.KEY_TYPE_INCONSISTENT),
        (Mechanism(CKM.ECDH1_DERIVE, None), template, CKR.MECHANISM_PARAM_INVALID),
        (PLAIN_ECDH, attributes(VALUE_LEN=33), CKR.TEMPLATE_INCONSISTENT),
        (ECDH, attributes(CLASS=int(CKO.DATA)), CKR.TEMPLATE_INCONSISTENT),
        (ECDH, attributes(LABEL="x", MODULUS=b"x"), CKR.TEMPLATE_INCONSISTENT),
    ):
        arguments = (session, mechanism, public, wanted, ROOM, True)
        assert program.rv("C_EncapsulateKey", *arguments) == code
    assert program.rv("C_EncapsulateKey", session, ECDH, 999, template, ROOM, True) == (
        CKR.KEY_HANDLE_INVALID
    )
    assert program.rv("C_DecapsulateKey", session, ECDH, 999, template, b"", True) == (
        CKR.UNWRAPPING_KEY_HANDLE_INVALID
    )
    unseal = (session, ECDH, private, template, b"\4" + bytes(64), True)
    assert program.rv("C_DecapsulateKey", *unseal) == CKR.WRAPPED_KEY_INVALID
    assert program.find(session, CLASS=int(CKO.SECRET_KEY)) == []


def test_a_template_of_the_owner_is_laid_on(program: Program) -> None:
    session = program.open(user=CKU.USER)
    forced = attributes(EXTRACTABLE=False)
    template = attributes(EC_PARAMS=P256, ENCAPSULATE=True)
    template.append(Attribute(CKA.ENCAPSULATE_TEMPLATE, forced, 24))
    generate = Mechanism(CKM.EC_KEY_PAIR_GEN, None)
    public, _ = program.C_GenerateKeyPair(session, generate, template, [], True, True)
    _, key = program.C_EncapsulateKey(session, ECDH, public, [], ROOM, True)
    assert program.read(session, key, CKA.EXTRACTABLE) == b"\0"
    arguments = (session, ECDH, public, attributes(EXTRACTABLE=True), ROOM, True)
    assert program.rv("C_EncapsulateKey", *arguments) == CKR.TEMPLATE_INCONSISTENT


HYBRIDS = {
    "RSA": (
        CKM.RSA_PKCS_KEY_PAIR_GEN,
        {"MODULUS_BITS": 2048},
        Mechanism(CKM.RSA_AES_KEY_WRAP, Parameter("RSA_AES_WRAP", (256, Parameter(*OAEP)))),
    ),
    "P-256": (
        CKM.EC_KEY_PAIR_GEN,
        {"EC_PARAMS": P256},
        Mechanism(
            CKM.ECDH_COF_AES_KEY_WRAP,
            Parameter("ECDH_AES_WRAP", (256, int(CKD.SHA256_KDF), b"info")),
        ),
    ),
    "P-256, deprecated": (
        CKM.EC_KEY_PAIR_GEN,
        {"EC_PARAMS": P256},
        Mechanism(CKM.ECDH_AES_KEY_WRAP, Parameter("ECDH_AES_WRAP", (128, int(CKD.SHA1_KDF), b""))),
    ),
    "X25519": (
        CKM.EC_MONTGOMERY_KEY_PAIR_GEN,
        X25519,
        Mechanism(
            CKM.ECDH_X_AES_KEY_WRAP,
            Parameter("ECDH_AES_WRAP", (256, int(CKD.SHA256_KDF), b"info")),
        ),
    ),
}


@pytest.mark.parametrize("name", HYBRIDS)
def test_private_keys_under_public_keys(program: Program, name: str) -> None:
    kind, material, mechanism = HYBRIDS[name]
    session = program.open(user=CKU.USER)
    public, private = pair(program, session, kind, {**material, "WRAP": True}, UNWRAP=True)
    one, other = program.ec_pair(session, EXTRACTABLE=True)
    wrapped = program.C_WrapKey(session, mechanism, public, other, ROOM)
    template = attributes(CLASS=int(CKO.PRIVATE_KEY), KEY_TYPE=int(CKK.EC))
    back = program.C_UnwrapKey(session, mechanism, private, wrapped, template, True)
    ecdsa = Mechanism(CKM.ECDSA, None)
    signature = sign(program, session, ecdsa, back, bytes(32))
    assert verify(program, session, ecdsa, one, bytes(32), signature) == CKR.OK
    arguments = (session, mechanism, private, wrapped[:-8], template, True)
    assert program.rv("C_UnwrapKey", *arguments) == CKR.WRAPPED_KEY_INVALID
    arguments = (session, mechanism, private, wrapped[:30], template, True)
    assert program.rv("C_UnwrapKey", *arguments) in (
        CKR.WRAPPED_KEY_LEN_RANGE,
        CKR.WRAPPED_KEY_INVALID,
    )


def test_hybrids_are_judged_from_outside(program: Program) -> None:
    session = program.open(user=CKU.USER)
    key = secret(program, session, b"a secret of any length", **LOOSE)
    kind, material, mechanism = HYBRIDS["X25519"]
    own = x25519.X25519PrivateKey.generate()
    template = attributes(
        CLASS=int(CKO.PUBLIC_KEY),
        KEY_TYPE=int(CKK.EC_MONTGOMERY),
        EC_POINT=own.public_key().public_bytes_raw(),
        WRAP=True,
        **material,
    )
    public = program.C_CreateObject(session, template, True)
    wrapped = program.C_WrapKey(session, mechanism, public, key, ROOM)
    point = x25519.X25519PublicKey.from_public_bytes(wrapped[:32])
    between = X963KDF(hashes.SHA256(), 32, b"info").derive(own.exchange(point))
    clear = keywrap.aes_key_unwrap_with_padding(between, wrapped[32:])
    assert clear == b"a secret of any length"
    kind, material, mechanism = HYBRIDS["RSA"]
    public, private = pair(program, session, kind, material)
    peer = load_der_public_key(program.read(session, public, CKA.PUBLIC_KEY_INFO))
    assert isinstance(peer, rsa.RSAPublicKey)
    between = bytes(range(32))
    pad = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), b"label")
    wrapped = peer.encrypt(between, pad) + keywrap.aes_key_wrap_with_padding(between, b"key")
    template = attributes(CLASS=int(CKO.SECRET_KEY), KEY_TYPE=int(CKK.GENERIC_SECRET), **LOOSE)
    back = program.C_UnwrapKey(session, mechanism, private, wrapped, template, True)
    assert program.read(session, back, CKA.VALUE) == b"key"


def test_raw_rsa_wraps(program: Program) -> None:
    session = program.open(user=CKU.USER)
    public, private = program.rsa_pair(session)
    raw = Mechanism(CKM.RSA_X_509, None)
    key = secret(program, session, b"\0secret", **LOOSE)
    wrapped = program.C_WrapKey(session, raw, public, key, ROOM)
    template = {"CLASS": int(CKO.SECRET_KEY), "KEY_TYPE": int(CKK.GENERIC_SECRET), **LOOSE}
    wanted = attributes(**template, VALUE_LEN=7)
    back = program.C_UnwrapKey(session, raw, private, wrapped, wanted, True)
    assert program.read(session, back, CKA.VALUE) == b"\0secret"
    for more, code in (
        ({}, CKR.TEMPLATE_INCOMPLETE),
        ({"VALUE_LEN": 5}, CKR.WRAPPED_KEY_LEN_RANGE),
    ):
        arguments = (session, raw, private, wrapped, attributes(**template, **more), True)
        assert program.rv("C_UnwrapKey", *arguments) == code
    long = secret(program, session, b"\xff" * 257, **LOOSE)
    assert program.rv("C_WrapKey", session, raw, public, long, ROOM) == CKR.KEY_SIZE_RANGE


@pytest.mark.parametrize("exponent", [3, 5, 17, 257, 65537, 2**32 + 15])
def test_public_exponents(program: Program, exponent: int) -> None:
    session = program.open(user=CKU.USER)
    given = exponent.to_bytes((exponent.bit_length() + 7) // 8, "big")
    material = {"MODULUS_BITS": 1024, "PUBLIC_EXPONENT": given}
    public, private = pair(program, session, CKM.RSA_PKCS_KEY_PAIR_GEN, material)
    key = load_der_public_key(program.read(session, public, CKA.PUBLIC_KEY_INFO))
    assert isinstance(key, rsa.RSAPublicKey)
    assert (key.public_numbers().e, key.key_size) == (exponent, 1024)
    for kind, chosen in (
        (CKM.SHA256_RSA_PKCS, hashes.SHA256()),
        (CKM.SHA3_384_RSA_PKCS, hashes.SHA3_384()),
    ):
        signature = sign(program, session, Mechanism(kind, None), private, b"message", 3)
        key.verify(signature, b"message", padding.PKCS1v15(), chosen)


@pytest.mark.parametrize("exponent", [b"\1", b"\4", b"\2", b"", b"\1" + bytes(8)])
def test_what_is_no_public_exponent(program: Program, exponent: bytes) -> None:
    session = program.open(user=CKU.USER)
    generate = Mechanism(CKM.RSA_PKCS_KEY_PAIR_GEN, None)
    template = attributes(MODULUS_BITS=1024, PUBLIC_EXPONENT=exponent)
    code = program.rv("C_GenerateKeyPair", session, generate, template, [], True, True)
    assert code == CKR.TEMPLATE_INCONSISTENT
