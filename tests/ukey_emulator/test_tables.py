"""What the standard's tables say of single attributes: defaults, and what may be said of them."""

import pytest
from brought import LOOSE, pair, secret
from program import P256, Program, attributes

from ukey_emulator.cryptoki.wire import Mechanism, Out, Parameter
from ukey_emulator.terms import CKA, CKC, CKK, CKM, CKO, CKR, CKU

VALUE = bytes(range(16))
X509 = {"CLASS": int(CKO.CERTIFICATE), "CERTIFICATE_TYPE": int(CKC.X_509), "SUBJECT": b"0\0"}
HASHES = {"HASH_OF_SUBJECT_PUBLIC_KEY": b"s" * 20, "HASH_OF_ISSUER_PUBLIC_KEY": b"i" * 20}


def test_a_secret_key_is_not_sensitive_unless_that_is_said(program: Program) -> None:
    """Table of common secret key attributes (§4.11); of a private key the token decides."""
    session = program.open(user=CKU.USER)
    made = program.C_GenerateKey(
        session, Mechanism(CKM.AES_KEY_GEN, None), attributes(VALUE_LEN=16), True
    )
    for key in (made, secret(program, session, VALUE)):
        assert program.read(session, key, CKA.SENSITIVE) == b"\0"
        assert program.read(session, key, CKA.ALWAYS_SENSITIVE) == b"\0"
        # Not extractable either, so that its value is not given all the same.
        with pytest.raises(AssertionError, match="ATTRIBUTE_SENSITIVE"):
            program.read(session, key, CKA.VALUE)
    _, private = program.ec_pair(session)
    assert program.read(session, private, CKA.SENSITIVE) == b"\1"


def test_a_check_value_can_be_taken_away_and_nothing_else(program: Program) -> None:
    """§4.11.2: C_SetAttributeValue destroys it by no value."""
    session = program.open(user=CKU.USER)
    key = secret(program, session, VALUE, CKK.AES, TOKEN=True)
    right = program.read(session, key, CKA.CHECK_VALUE)
    for value in (right, b""):
        program.C_SetAttributeValue(session, key, attributes(CHECK_VALUE=value))
        assert program.read(session, key, CKA.CHECK_VALUE) == value
    for value in (right, b"abc"):
        code = program.rv("C_SetAttributeValue", session, key, attributes(CHECK_VALUE=value))
        assert code == CKR.ATTRIBUTE_READ_ONLY
    other = secret(program, session, VALUE, CKK.AES)
    copy = program.C_CopyObject(session, other, attributes(CHECK_VALUE=b""), True)
    assert program.read(session, copy, CKA.CHECK_VALUE) == b""
    assert program.read(session, other, CKA.CHECK_VALUE) == right


def test_a_private_key_is_of_no_other_public_key(program: Program) -> None:
    """§4.10: whatever says so is CKR_ATTRIBUTE_VALUE_INVALID."""
    session = program.open(user=CKU.USER)
    public, private = program.ec_pair(session)
    info = program.read(session, public, CKA.PUBLIC_KEY_INFO)
    assert program.read(session, private, CKA.PUBLIC_KEY_INFO) == info
    foreign = attributes(PUBLIC_KEY_INFO=info[:-1] + bytes([info[-1] ^ 1]))
    invalid = CKR.ATTRIBUTE_VALUE_INVALID
    assert program.rv("C_SetAttributeValue", session, private, foreign) == invalid
    assert program.rv("C_CopyObject", session, private, foreign, True) == invalid
    mechanism, before = Mechanism(CKM.EC_KEY_PAIR_GEN, None), program.find(session)
    arguments = (session, mechanism, attributes(EC_PARAMS=P256), foreign, True, True)
    assert program.rv("C_GenerateKeyPair", *arguments) == invalid
    assert program.find(session) == before
    program.C_SetAttributeValue(session, private, attributes(PUBLIC_KEY_INFO=info))
    # An empty one asks for nothing.
    _, made = pair(program, session, CKM.EC_KEY_PAIR_GEN, {"EC_PARAMS": P256}, PUBLIC_KEY_INFO=b"")
    assert program.read(session, made, CKA.PUBLIC_KEY_INFO) != b""


def test_keys_tell_of_no_validation(program: Program) -> None:
    """§4.8: the flags are those of validations, of which this token has none."""
    session = program.open(user=CKU.USER)
    public, private = program.ec_pair(session)
    for key in (public, private, secret(program, session, VALUE)):
        assert program.read(session, key, CKA.OBJECT_VALIDATION_FLAGS) == bytes(8)
    template = attributes(VALUE_LEN=16, OBJECT_VALIDATION_FLAGS=1, **LOOSE)
    arguments = (session, Mechanism(CKM.AES_KEY_GEN, None), template, True)
    assert program.rv("C_GenerateKey", *arguments) == CKR.ATTRIBUTE_READ_ONLY


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"URL": "http://example.com/", **HASHES}, CKR.TEMPLATE_INCOMPLETE),
        ({"URL": "http://example.com/", "VALUE": b"", **HASHES}, CKR.OK),
        ({"URL": "http://example.com/", "VALUE": b"certificate"}, CKR.TEMPLATE_INCOMPLETE),
        ({"URL": "http://example.com/", "VALUE": b"certificate", **HASHES}, CKR.OK),
        ({"VALUE": b"certificate", "CHECK_VALUE": b"abc"}, CKR.ATTRIBUTE_VALUE_INVALID),
        ({"VALUE": b"certificate", "CHECK_VALUE": b""}, CKR.OK),
        ({"VALUE": b"certificate"}, CKR.OK),
    ],
)
def test_what_a_certificate_has_to_say(
    program: Program, more: dict[str, object], code: CKR
) -> None:
    """Footnotes 1 to 4 of the table in §4.6.3, and the check value of §4.6.2."""
    session = program.open()
    template = attributes(**X509, **more)
    assert program.rv("C_CreateObject", session, template, True) == code


def test_a_certificate_has_all_attributes_of_its_table(program: Program) -> None:
    session = program.open()
    obj = program.C_CreateObject(session, attributes(**X509, VALUE=b"certificate"), True)
    for empty in (CKA.PUBLIC_KEY_INFO, CKA.START_DATE, CKA.ISSUER, CKA.URL, CKA.ID):
        assert program.read(session, obj, empty) == b""


@pytest.mark.parametrize("use", ["WRAP", "UNWRAP", "DERIVE", "SIGN", "DECRYPT"])
def test_a_key_that_allows_other_mechanisms(program: Program, use: str) -> None:
    """CKA_ALLOWED_MECHANISMS holds for every use of a key (§4.8)."""
    session = program.open(user=CKU.USER)
    allowed = int(CKM.AES_CBC).to_bytes(8, "little")
    key = secret(program, session, VALUE, CKK.AES, ALLOWED_MECHANISMS=allowed, DERIVE=True)
    target = secret(program, session, VALUE, **LOOSE)
    ecb = Mechanism(CKM.AES_ECB, None)
    new = attributes(CLASS=int(CKO.SECRET_KEY), KEY_TYPE=int(CKK.AES))
    derivation = Mechanism(CKM.AES_ECB_ENCRYPT_DATA, Parameter("STRING", (VALUE,)))
    calls = {
        "WRAP": ("C_WrapKey", session, ecb, key, target, Out(True, 64)),
        "UNWRAP": ("C_UnwrapKey", session, ecb, key, VALUE, new, True),
        "DERIVE": ("C_DeriveKey", session, derivation, key, new, True),
        "SIGN": ("C_SignInit", session, Mechanism(CKM.AES_CMAC, None), key),
        "DECRYPT": ("C_DecryptInit", session, ecb, key),
    }
    assert program.rv(*calls[use]) == CKR.MECHANISM_INVALID
