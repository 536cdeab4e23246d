"""Wrapping, unwrapping and deriving keys."""

import hashlib
import struct

import pytest
from cryptography.hazmat.primitives import keywrap
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
)
from program import ROOM, Program, attributes

from ukey_emulator.cryptoki.wire import NULL, Attribute, Mechanism, Out, Parameter, Query
from ukey_emulator.terms import CKA, CKD, CKK, CKM, CKO, CKR, CKU

SECRET = {"CLASS": int(CKO.SECRET_KEY), "KEY_TYPE": int(CKK.AES)}
LOOSE = {"SENSITIVE": False, "EXTRACTABLE": True}
KW = Mechanism(CKM.AES_KEY_WRAP, None)
KWP = Mechanism(CKM.AES_KEY_WRAP_KWP, None)


def secret(program: Program, session: int, value: bytes, **more: object) -> int:
    template = attributes(**SECRET, VALUE=value, **more)
    return int(program.C_CreateObject(session, template, True))


def test_a_wrapped_key_is_what_rfc_3394_says(program: Program) -> None:
    session = program.open(user=CKU.USER)
    wrapping = secret(program, session, bytes(16))
    key = secret(program, session, bytes(range(32)), **LOOSE)
    wrapped = program.C_WrapKey(session, KW, wrapping, key, ROOM)
    assert wrapped == keywrap.aes_key_wrap(bytes(16), bytes(range(32)))
    back = program.C_UnwrapKey(
        session, KW, wrapping, wrapped, attributes(**SECRET, SENSITIVE=False), True
    )
    assert program.read(session, back, CKA.VALUE) == bytes(range(32))
    for attribute in (CKA.LOCAL, CKA.ALWAYS_SENSITIVE, CKA.NEVER_EXTRACTABLE):
        assert program.read(session, back, attribute) == b"\0"


def test_a_private_key_goes_from_one_wrapping_to_the_other(program: Program) -> None:
    session = program.open(user=CKU.USER)
    wrapping = secret(program, session, bytes(16))
    public, private = program.ec_pair(session, EXTRACTABLE=True)
    wrapped = program.C_WrapKey(session, KWP, wrapping, private, ROOM)
    template = attributes(CLASS=int(CKO.PRIVATE_KEY), KEY_TYPE=int(CKK.EC))
    back = program.C_UnwrapKey(session, KWP, wrapping, wrapped, template, True)
    ecdsa = Mechanism(CKM.ECDSA_SHA256, None)
    program.C_SignInit(session, ecdsa, back)
    signature = program.C_Sign(session, b"message", ROOM)
    program.C_VerifyInit(session, ecdsa, public)
    program.C_Verify(session, b"message", signature)


@pytest.mark.parametrize(
    ("key", "wrapping", "code"),
    [
        ({"EXTRACTABLE": False}, {}, CKR.KEY_UNEXTRACTABLE),
        ({**LOOSE, "WRAP_WITH_TRUSTED": True}, {}, CKR.KEY_NOT_WRAPPABLE),
        (LOOSE, {"WRAP": False}, CKR.KEY_FUNCTION_NOT_PERMITTED),
    ],
)
def test_what_is_not_wrapped(
    program: Program, key: dict[str, object], wrapping: dict[str, object], code: CKR
) -> None:
    session = program.open(user=CKU.USER)
    wrapper = secret(program, session, bytes(16), **wrapping)
    wrapped = secret(program, session, bytes(32), **key)
    assert program.rv("C_WrapKey", session, KW, wrapper, wrapped, ROOM) == code


def test_handles_that_are_no_keys_have_codes_of_their_own(program: Program) -> None:
    session = program.open(user=CKU.USER)
    key = secret(program, session, bytes(16), **LOOSE)
    assert program.rv("C_WrapKey", session, KW, 999, key, ROOM) == CKR.WRAPPING_KEY_HANDLE_INVALID
    assert program.rv("C_WrapKey", session, KW, key, 999, ROOM) == CKR.KEY_HANDLE_INVALID
    assert (
        program.rv("C_UnwrapKey", session, KW, 999, bytes(24), attributes(**SECRET), True)
        == CKR.UNWRAPPING_KEY_HANDLE_INVALID
    )


@pytest.mark.parametrize(
    ("wrapped", "code"),
    [
        (b"12345", CKR.WRAPPED_KEY_LEN_RANGE),
        (bytes(24), CKR.WRAPPED_KEY_INVALID),
        (keywrap.aes_key_wrap(bytes(16), bytes(40)), CKR.WRAPPED_KEY_LEN_RANGE),
    ],
)
def test_what_is_no_wrapped_key_leaves_no_object(
    program: Program, wrapped: bytes, code: CKR
) -> None:
    session = program.open(user=CKU.USER)
    wrapping = secret(program, session, bytes(16))
    arguments = (session, KW, wrapping, wrapped, attributes(**SECRET), True)
    assert program.rv("C_UnwrapKey", *arguments) == code
    assert program.find(session) == [wrapping]


def test_templates_of_the_wrapping_key(program: Program) -> None:
    session = program.open(user=CKU.USER)
    strict = attributes(EXTRACTABLE=False)
    template = attributes(**SECRET, VALUE=bytes(16))
    template.append(Attribute(CKA.UNWRAP_TEMPLATE, strict, 24))
    wrapping = program.C_CreateObject(session, template, True)
    wrapped = keywrap.aes_key_wrap(bytes(16), bytes(16))
    loose = attributes(**SECRET, EXTRACTABLE=True)
    arguments = (session, KW, wrapping, wrapped)
    assert program.rv("C_UnwrapKey", *arguments, loose, True) == CKR.TEMPLATE_INCONSISTENT
    back = program.C_UnwrapKey(*arguments, attributes(**SECRET), True)
    assert program.read(session, back, CKA.EXTRACTABLE) == b"\0"
    (answer,) = program.C_GetAttributeValue(
        session, wrapping, [Query(CKA.UNWRAP_TEMPLATE, None, None)]
    )
    assert answer == (24, None)


def test_a_wrap_template_matches_as_a_search_does(program: Program) -> None:
    """No search finds a sensitive key by its value, so no template matches that (§5.18.3)."""
    session = program.open(user=CKU.USER)
    template = attributes(**SECRET, VALUE=bytes(16))
    template.append(Attribute(CKA.WRAP_TEMPLATE, attributes(VALUE=bytes(16)), 24))
    wrapping = program.C_CreateObject(session, template, True)
    loose = {"EXTRACTABLE": True, "VALUE": bytes(16)}
    seen = program.C_CreateObject(session, attributes(**SECRET, **loose, SENSITIVE=False), True)
    hidden = program.C_CreateObject(session, attributes(**SECRET, **loose, SENSITIVE=True), True)
    program.C_WrapKey(session, KW, wrapping, seen, ROOM)
    code = program.rv("C_WrapKey", session, KW, wrapping, hidden, ROOM)
    assert code == CKR.KEY_HANDLE_INVALID


def test_templates_are_read_with_their_types(program: Program) -> None:
    """The types in the array mean nothing, and the token sets them (§5.7.5)."""
    session = program.open(user=CKU.USER)
    deepest = attributes(LABEL="deep")
    inner = [*attributes(EXTRACTABLE=True), Attribute(CKA.DERIVE_TEMPLATE, deepest, 24)]
    template = attributes(**SECRET, VALUE=bytes(16))
    template.append(Attribute(CKA.UNWRAP_TEMPLATE, inner, 48))
    key = program.C_CreateObject(session, template, True)

    def read(*nested: Query) -> tuple[CKR, object]:
        query = [Query(CKA.UNWRAP_TEMPLATE, 24 * len(nested), list(nested))]
        code, results = program.face.call(
            program.application, "C_GetAttributeValue", (session, key, query)
        )
        return CKR(code), results[0][0]

    small = CKR.BUFFER_TOO_SMALL
    none, one = Query(0, None, None), Query(CKA.VALUE, 1, None)
    lengths = (48, [(CKA.EXTRACTABLE, 1, None), (CKA.DERIVE_TEMPLATE, 24, None)])
    assert read(none, none) == (CKR.OK, lengths)
    inside = Query(CKA.DERIVE_TEMPLATE, 24, [Query(0, 8, None)])
    assert read(one, inside) == (
        CKR.OK,
        (
            48,
            [(CKA.EXTRACTABLE, 1, b"\1"), (CKA.DERIVE_TEMPLATE, 24, [(CKA.LABEL, 4, b"deep")])],
        ),
    )
    assert read(one) == (small, (NULL, None))
    assert read(Query(0, 0, None), inside._replace(nested=[Query(0, 3, None)])) == (
        small,
        (
            48,
            [(CKA.EXTRACTABLE, NULL, None), (CKA.DERIVE_TEMPLATE, 24, [(CKA.LABEL, NULL, None)])],
        ),
    )
    flat = [(CKA.EXTRACTABLE, 1, b"\1"), (CKA.DERIVE_TEMPLATE, NULL, None)]
    assert read(one, Query(0, 100, None)) == (small, (48, flat))


@pytest.mark.parametrize("kdf", [CKD.NULL, CKD.SHA256_KDF])
def test_both_sides_derive_the_same(program: Program, kdf: CKD) -> None:
    session = program.open(user=CKU.USER)
    public, private = program.ec_pair(session, DERIVE=True)
    other = ec.generate_private_key(ec.SECP256R1())
    point = other.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    mechanism = Mechanism(CKM.ECDH1_DERIVE, Parameter("ECDH1", (int(kdf), b"", point)))
    template = attributes(**SECRET, VALUE_LEN=32, SENSITIVE=False, EXTRACTABLE=True)
    key = program.C_DeriveKey(session, mechanism, private, template, True)
    peer = load_der_public_key(program.read(session, public, CKA.PUBLIC_KEY_INFO))
    assert isinstance(peer, ec.EllipticCurvePublicKey)
    common = other.exchange(ec.ECDH(), peer)
    if kdf is CKD.SHA256_KDF:
        common = hashlib.sha256(common + struct.pack(">I", 1)).digest()
    assert program.read(session, key, CKA.VALUE) == common


@pytest.mark.parametrize("point", [b"", b"\4" + bytes(64), b"\4" * 65])
def test_a_peer_that_is_not_on_the_curve(program: Program, point: bytes) -> None:
    session = program.open(user=CKU.USER)
    _, private = program.ec_pair(session, DERIVE=True)
    mechanism = Mechanism(CKM.ECDH1_DERIVE, Parameter("ECDH1", (1, b"", point)))
    arguments = (session, mechanism, private, attributes(**SECRET, VALUE_LEN=16), True)
    assert program.rv("C_DeriveKey", *arguments) == CKR.MECHANISM_PARAM_INVALID


def test_the_length_of_a_wrapped_key_can_be_asked(program: Program) -> None:
    session = program.open(user=CKU.USER)
    wrapping = secret(program, session, bytes(16))
    key = secret(program, session, bytes(32), **LOOSE)
    assert program.C_WrapKey(session, KW, wrapping, key, Out(True, None)) == 40
    short = program.face.call(
        program.application, "C_WrapKey", (session, KW, wrapping, key, Out(True, 39))
    )
    assert short == (CKR.BUFFER_TOO_SMALL, (None, 40))


def test_an_object_that_is_no_key_is_not_wrapped(program: Program) -> None:
    session = program.open(user=CKU.USER)
    wrapping = secret(program, session, bytes(16))
    data = program.C_CreateObject(session, attributes(CLASS=int(CKO.DATA), VALUE=b"1"), True)
    assert program.rv("C_WrapKey", session, KW, wrapping, data, ROOM) == CKR.KEY_HANDLE_INVALID
