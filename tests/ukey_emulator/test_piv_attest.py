"""Yubico's ATTEST: the key's word that it made a key pair itself (F9)."""

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa, x25519
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from piv_program import ED25519, P256, P384, RSA2048, X25519, PivProgram, members, tlv, within
from program import Program, attributes
from test_piv_import import rsa_parts, scalar

from ukey_emulator.card.piv.containers import Containers
from ukey_emulator.card.piv.objects import DataObjects
from ukey_emulator.chip import Refusal
from ukey_emulator.cryptoki.wire import Mechanism
from ukey_emulator.terms import CKA, CKM, CKO, CKR, CKU

CERTIFICATE = tlv(0x5C, bytes.fromhex("5FFF01"))
YUBICO = "1.3.6.1.4.1.41482.3"


def told(certificate: x509.Certificate, number: int) -> bytes:
    identifier = x509.ObjectIdentifier(f"{YUBICO}.{number}")
    extension = certificate.extensions.get_extension_for_oid(identifier)
    assert not extension.critical
    assert isinstance(extension.value, x509.UnrecognizedExtension)
    return extension.value.value


def issuer(piv: PivProgram) -> x509.Certificate:
    content = members(within(0x53, piv.ok(0xCB, 0x3F, 0xFF, CERTIFICATE)))
    assert content[0x71] == b"\0"
    return x509.load_der_x509_certificate(content[0x70])


def attested(piv: PivProgram, slot: int) -> x509.Certificate:
    return x509.load_der_x509_certificate(piv.ok(0xF9, slot, 0x00))


@pytest.mark.parametrize("algorithm", [RSA2048, P256, P384, ED25519, X25519])
def test_a_key_that_was_made_here(piv: PivProgram, algorithm: int) -> None:
    piv.manage()
    public = piv.generate(0x9A, algorithm, tlv(0xAA, b"\x03") + tlv(0xAB, b"\x02"))
    piv.card.reset()
    certificate = attested(piv, 0x9A)
    assert certificate.public_key() == public
    certificate.verify_directly_issued_by(issuer(piv))
    assert told(certificate, 3) == piv.ok(0xFD, 0x00, 0x00)
    serial = told(certificate, 7)
    assert serial[:2] == bytes([0x02, len(serial) - 2])
    assert int.from_bytes(serial[2:], signed=True) == int.from_bytes(piv.ok(0xF8, 0x00, 0x00))
    assert told(certificate, 8) == b"\x03\x02"
    assert len(told(certificate, 9)) == 1
    (name,) = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    assert str(name.value).endswith("9a")


def test_the_attesting_certificate_is_an_authority_of_its_own(piv: PivProgram) -> None:
    own = issuer(piv)
    own.verify_directly_issued_by(own)
    constraints = own.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert constraints.value == x509.BasicConstraints(ca=True, path_length=0)


def test_it_is_the_same_for_each_key_and_after_each_start(piv: PivProgram) -> None:
    piv.manage()
    own = issuer(piv)
    for slot in (0x9C, 0x9D, 0x9E, 0x82, 0x95):
        piv.generate(slot, P256)
        attested(piv, slot).verify_directly_issued_by(own)
    piv.card.power_off()
    piv.card.power_on()
    assert issuer(piv) == own
    attested(piv, 0x82).verify_directly_issued_by(own)


def test_keys_that_were_made_elsewhere(piv: PivProgram) -> None:
    piv.manage()
    piv.ok(0xFE, P256, 0x9A, scalar(ec.generate_private_key(ec.SECP256R1())))
    assert piv.sw(0xF9, 0x9A, 0x00) == 0x6A80
    piv.generate(0x9A, P256)
    assert attested(piv, 0x9A)
    piv.ok(0xFE, P256, 0x9A, scalar(ec.generate_private_key(ec.SECP256R1())))
    assert piv.sw(0xF9, 0x9A, 0x00) == 0x6A80


def test_what_is_not_attested(piv: PivProgram) -> None:
    assert piv.sw(0xF9, 0x9A, 0x00) == 0x6A80
    for slot in (0x00, 0x04, 0x80, 0x9B, 0xF9, 0xFF):
        assert piv.sw(0xF9, slot, 0x00) == 0x6A86
    assert piv.sw(0xF9, 0x9A, 0x01) == 0x6A86
    assert piv.sw(0xF9, 0x9A, 0x00, b"\0") == 0x6A86


@pytest.mark.parametrize("algorithm", [RSA2048, P384, ED25519])
def test_an_owner_attests_with_a_key_of_his_own(piv: PivProgram, algorithm: int) -> None:
    piv.manage()
    piv.generate(0x9A, P256)
    public = piv.generate(0xF9, algorithm)
    assert not isinstance(public, x25519.X25519PublicKey)
    authority = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ours")])
    old = issuer(piv)
    own = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(public)
        .serial_number(1)
        .not_valid_before(old.not_valid_before_utc)
        .not_valid_after(old.not_valid_after_utc)
        .sign(authority, hashes.SHA256())
    )
    content = tlv(0x70, own.public_bytes(Encoding.DER)) + tlv(0x71, b"\0") + tlv(0xFE)
    piv.ok(0xDB, 0x3F, 0xFF, CERTIFICATE + tlv(0x53, content))
    attested(piv, 0x9A).verify_directly_issued_by(own)


def test_an_imported_key_attests_as_well(piv: PivProgram) -> None:
    piv.manage()
    piv.generate(0x9A, P256)
    key = rsa.generate_private_key(65537, 2048)
    piv.ok(0xFE, RSA2048, 0xF9, b"".join(rsa_parts(key)))
    certificate = attested(piv, 0x9A)
    key.public_key().verify(
        certificate.signature,
        certificate.tbs_certificate_bytes,
        PKCS1v15(),
        hashes.SHA256(),
    )


def test_a_deleted_key_attests_no_more(piv: PivProgram) -> None:
    piv.manage()
    piv.generate(0x9A, P256)
    piv.ok(0xF6, 0xFF, 0xF9)
    assert piv.sw(0xF9, 0x9A, 0x00) == 0x6A88
    piv.card.power_off()
    piv.card.power_on()
    assert piv.sw(0xF9, 0x9A, 0x00) == 0x6A88
    assert piv.sw(0xF7, 0x00, 0xF9) == 0x6A88


def test_without_a_certificate_nothing_is_attested(piv: PivProgram) -> None:
    piv.manage()
    piv.generate(0x9A, P256)
    assert attested(piv, 0x9A)
    own = issuer(piv).public_bytes(Encoding.DER)
    nameless = own.replace(b"ukeylab PIV", b"\xff" * 11)
    timeless = own.replace(b"200101000000Z", b"201301000000Z")
    assert own not in (nameless, timeless)
    for content in (b"", b"!", *(tlv(0x70, each) for each in (b"none", nameless, timeless))):
        piv.ok(0xDB, 0x3F, 0xFF, CERTIFICATE + tlv(0x53, content))
        assert piv.sw(0xF9, 0x9A, 0x00) == 0x6A88


def test_the_attesting_key_does_nothing_else(piv: PivProgram, program: Program) -> None:
    """Whoever could sign with it would attest what he likes."""
    assert issuer(piv)
    piv.verify()
    assert piv.challenge(0xF9, P256, bytes(32)) == (b"", 0x6A86)
    session = program.open(user=CKU.USER)
    found = program.find(session, CLASS=int(CKO.PRIVATE_KEY))
    assert found
    for handle in found:
        uses = (CKA.SIGN, CKA.DECRYPT, CKA.UNWRAP, CKA.DERIVE, CKA.SIGN_RECOVER, CKA.MODIFIABLE)
        assert not any(any(program.read(session, handle, use)) for use in uses)


def test_a_reset_brings_back_a_key_that_attests(piv: PivProgram) -> None:
    piv.manage()
    piv.ok(0xF6, 0xFF, 0xF9)
    for _ in range(10):
        piv.sw(0x20, 0x00, 0x80, b"\xff" * 8)
        piv.sw(0x2C, 0x00, 0x80, b"\xff" * 8 + b"123456\xff\xff")
    piv.ok(0xFB, 0x00, 0x00)
    piv.manage()
    piv.generate(0x9A, P256)
    attested(piv, 0x9A).verify_directly_issued_by(issuer(piv))


@pytest.mark.parametrize(
    ("private", "sw"),
    [
        ({"SENSITIVE": True, "EXTRACTABLE": False}, 0x9000),
        ({"SENSITIVE": True, "EXTRACTABLE": True}, 0x6A80),
        ({"SENSITIVE": False, "EXTRACTABLE": False}, 0x6A80),
    ],
)
def test_a_key_that_may_have_left_is_not_attested(
    piv: PivProgram, program: Program, private: dict[str, bool], sw: int
) -> None:
    """Made here it was, but through PKCS#11, where it could be wrapped or read."""
    session = program.open(user=CKU.USER)
    program.C_GenerateKeyPair(
        session,
        Mechanism(CKM.EC_KEY_PAIR_GEN, None),
        attributes(TOKEN=True, EC_PARAMS=bytes.fromhex("06082a8648ce3d030107"), ID=b"\x01"),
        attributes(TOKEN=True, PRIVATE=True, SIGN=True, ID=b"\x01", **private),
        True,
        True,
    )
    origin = b"\x01" if sw == 0x9000 else b"\x02"
    assert members(piv.ok(0xF7, 0x00, 0x9A))[0x03] == origin
    assert piv.sw(0xF9, 0x9A, 0x00) == sw
    # What it is now does not undo what it was.
    for handle in program.find(session, CLASS=int(CKO.PRIVATE_KEY)):
        if private["EXTRACTABLE"]:
            program.C_SetAttributeValue(session, handle, attributes(EXTRACTABLE=False))
    assert piv.sw(0xF9, 0x9A, 0x00) == sw


def test_what_broke_while_it_was_made_is_made_later(
    piv: PivProgram, monkeypatch: pytest.MonkeyPatch
) -> None:
    piv.manage()
    piv.generate(0x9A, P256)

    def broken(*_: object, **__: object) -> None:
        raise Refusal(CKR.DEVICE_MEMORY)

    for what in (Containers, DataObjects):
        with monkeypatch.context() as patch:
            patch.setattr(what, "put", broken)
            assert piv.sw(0xF9, 0x9A, 0x00) == 0x6A84
    attested(piv, 0x9A).verify_directly_issued_by(issuer(piv))
