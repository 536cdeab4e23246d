"""Attributes that follow from others: of certificates, of keys."""

import datetime as dt
import hashlib
import struct

import pytest
from brought import LOOSE, public, secret
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID
from program import P256, Program, attributes

from ukey_emulator.cryptoki.wire import Mechanism
from ukey_emulator.terms import CKA, CKC, CKK, CKM, CKO, CKR, CKU

KEY = ec.generate_private_key(ec.SECP256R1())
INFO = KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
SUBJECT = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "subject")])
ISSUER = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "issuer")])
CERTIFICATE = (
    x509.CertificateBuilder()
    .subject_name(SUBJECT)
    .issuer_name(ISSUER)
    .public_key(KEY.public_key())
    .serial_number(0x80FF)
    .not_valid_before(dt.datetime(2026, 1, 2, tzinfo=dt.UTC))
    .not_valid_after(dt.datetime(2027, 3, 4, tzinfo=dt.UTC))
    .sign(KEY, hashes.SHA256())
    .public_bytes(Encoding.DER)
)
X509 = {
    "CLASS": int(CKO.CERTIFICATE),
    "CERTIFICATE_TYPE": int(CKC.X_509),
    "SUBJECT": SUBJECT.public_bytes(),
}


def test_what_a_certificate_tells_of_itself(program: Program) -> None:
    session = program.open()
    obj = program.C_CreateObject(session, attributes(**X509, VALUE=CERTIFICATE), True)
    for attribute, value in (
        (CKA.ISSUER, ISSUER.public_bytes()),
        (CKA.SERIAL_NUMBER, bytes.fromhex("02030080ff")),
        (CKA.START_DATE, b"20260102"),
        (CKA.END_DATE, b"20270304"),
        (CKA.PUBLIC_KEY_INFO, INFO),
        (CKA.CHECK_VALUE, hashlib.new("sha1", CERTIFICATE).digest()[:3]),  # noqa: S324
        (CKA.TRUSTED, b"\0"),
    ):
        assert program.read(session, obj, attribute) == value
    assert program.find(session, ISSUER=ISSUER.public_bytes()) == [obj]


def test_what_the_program_says_of_a_certificate_stays(program: Program) -> None:
    session = program.open()
    template = attributes(**X509, VALUE=CERTIFICATE, SERIAL_NUMBER=b"\2\1\7", START_DATE="20200101")
    obj = program.C_CreateObject(session, template, True)
    assert program.read(session, obj, CKA.SERIAL_NUMBER) == b"\2\1\7"
    assert program.read(session, obj, CKA.START_DATE) == b"20200101"
    odd = program.C_CreateObject(session, attributes(**X509, VALUE=b"no certificate"), True)
    assert program.read(session, odd, CKA.ISSUER) == b""


def test_a_certificate_has_the_public_key_that_it_certifies(program: Program) -> None:
    session = program.open()
    other = ec.generate_private_key(ec.SECP256R1()).public_key()
    claimed = other.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    for wrong in (claimed, b"no key"):
        template = attributes(**X509, VALUE=CERTIFICATE, PUBLIC_KEY_INFO=wrong)
        assert program.rv("C_CreateObject", session, template, True) == CKR.ATTRIBUTE_VALUE_INVALID
    assert program.find(session) == []
    program.C_CreateObject(
        session, attributes(**X509, VALUE=CERTIFICATE, PUBLIC_KEY_INFO=INFO), True
    )


# A block of zeros under a key of zeros: FIPS 197 and the inventors' own vectors.
ZEROS_UNDER_ZEROS = {
    CKK.AES: "66e94b",
    CKK.CAMELLIA: "3d0280",
    CKK.SEED: "90699d",
    CKK.BLOWFISH: "4ef997",
}

HASHES = {"HASH_OF_SUBJECT_PUBLIC_KEY": b"s" * 20, "HASH_OF_ISSUER_PUBLIC_KEY": b"i" * 20}


def test_certificates_at_an_address(program: Program) -> None:
    session = program.open()
    url = {"URL": "http://example.com/c.cer"}
    program.C_CreateObject(session, attributes(**X509, VALUE=b"", **url, **HASHES), True)
    for template in ({**url}, {"VALUE": b""}, {**url, "HASH_OF_SUBJECT_PUBLIC_KEY": b"s"}):
        code = program.rv("C_CreateObject", session, attributes(**X509, **template), True)
        assert code == CKR.TEMPLATE_INCOMPLETE


def test_other_certificates(program: Program) -> None:
    session = program.open()
    wtls = {**X509, "CERTIFICATE_TYPE": int(CKC.WTLS)}
    obj = program.C_CreateObject(session, attributes(**wtls, VALUE=b"encoded"), True)
    assert program.read(session, obj, CKA.ISSUER) == b""
    kind = {"CLASS": int(CKO.CERTIFICATE), "CERTIFICATE_TYPE": int(CKC.X_509_ATTR_CERT)}
    obj = program.C_CreateObject(session, attributes(**kind, OWNER=b"o", VALUE=b"v"), True)
    assert program.read(session, obj, CKA.OWNER) == b"o"
    code = program.rv("C_CreateObject", session, attributes(**kind, OWNER=b"o"), True)
    assert code == CKR.TEMPLATE_INCOMPLETE
    code = program.rv("C_SetAttributeValue", session, obj, attributes(OWNER=b"p"))
    assert code == CKR.ATTRIBUTE_READ_ONLY


def test_a_public_key_that_is_said_to_be_another(program: Program) -> None:
    session = program.open(user=CKU.USER)
    point = KEY.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    material = {"EC_PARAMS": P256, "EC_POINT": b"\4\x41" + point}
    key = public(program, session, CKK.EC, PUBLIC_KEY_INFO=INFO, **material)
    assert program.read(session, key, CKA.PUBLIC_KEY_INFO) == INFO
    template = attributes(
        CLASS=int(CKO.PUBLIC_KEY), KEY_TYPE=int(CKK.EC), PUBLIC_KEY_INFO=INFO[:-1], **material
    )
    code = program.rv("C_CreateObject", session, template, True)
    assert code == CKR.ATTRIBUTE_VALUE_INVALID


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (CKK.GENERIC_SECRET, b"any"),
        (CKK.SHA256_HMAC, b"any"),
        (CKK.AES, bytes(16)),
        (CKK.CAMELLIA, bytes(16)),
        (CKK.SEED, bytes(16)),
        (CKK.BLOWFISH, bytes(8)),
    ],
)
def test_check_values_of_secret_keys(program: Program, kind: CKK, value: bytes) -> None:
    session = program.open(user=CKU.USER)
    right = program.read(session, secret(program, session, value, kind), CKA.CHECK_VALUE)
    hashed = hashlib.new("sha1", value).hexdigest()[:6]  # noqa: S324
    assert right.hex() == ZEROS_UNDER_ZEROS.get(kind, hashed)
    secret(program, session, value, kind, CHECK_VALUE=right)
    without = secret(program, session, value, kind, CHECK_VALUE=b"")
    assert program.read(session, without, CKA.CHECK_VALUE) == b""
    template = attributes(
        CLASS=int(CKO.SECRET_KEY), KEY_TYPE=int(kind), VALUE=value, CHECK_VALUE=b"bad"
    )
    code = program.rv("C_CreateObject", session, template, True)
    assert code == CKR.ATTRIBUTE_VALUE_INVALID


def test_dates_of_keys(program: Program) -> None:
    session = program.open(user=CKU.USER)
    generate = Mechanism(CKM.AES_KEY_GEN, None)
    dated = attributes(VALUE_LEN=16, START_DATE="20260101", END_DATE="20270101", **LOOSE)
    key = program.C_GenerateKey(session, generate, dated, True)
    assert program.read(session, key, CKA.START_DATE) == b"20260101"
    program.C_SetAttributeValue(session, key, attributes(END_DATE="20280101"))
    assert program.read(session, key, CKA.END_DATE) == b"20280101"
    for wrong in (b"2026", b"2026010x"):
        template = attributes(VALUE_LEN=16, START_DATE=wrong)
        code = program.rv("C_GenerateKey", session, generate, template, True)
        assert code == CKR.ATTRIBUTE_VALUE_INVALID
    plain = program.C_GenerateKey(session, generate, attributes(VALUE_LEN=16), True)
    assert program.read(session, plain, CKA.START_DATE) == b""


@pytest.mark.parametrize(
    "kind", [CKK.AES, CKK.CAMELLIA, CKK.BLOWFISH, CKK.DES3, CKK.SEED, CKK.GENERIC_SECRET]
)
def test_lengths_stand_where_the_tables_have_them(program: Program, kind: CKK) -> None:
    session = program.open(user=CKU.USER)
    value = b"\1" * (16 if kind is CKK.SEED else 24)
    key = secret(program, session, value, kind)
    if kind in (CKK.DES3, CKK.SEED):
        with pytest.raises(AssertionError, match="ATTRIBUTE_TYPE_INVALID"):
            program.read(session, key, CKA.VALUE_LEN)
    else:
        assert program.read(session, key, CKA.VALUE_LEN) == struct.pack("<Q", 24)
