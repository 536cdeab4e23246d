"""pyHanko's own PKCS11Signer as judge; what it signs is read by Poppler's pdfsig and by OpenSSL."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import asn1crypto.core
import asn1crypto.x509
import pkcs11
import pypdfium2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from little_authority import DER, LittleAuthority
from pkcs11 import Attribute, KeyType, ObjectClass
from pkcs11.util import ec, rsa
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign import signers, validation
from pyhanko.sign.fields import SigSeedSubFilter
from pyhanko.sign.pkcs11 import PKCS11Signer
from pyhanko_certvalidator import ValidationContext
from token_under_test import TokenUnderTest

LABEL, ID = "某某公司", b"\x0a\x0b"


def rsa_2048(session: pkcs11.Session) -> bytes:
    public, _ = session.generate_keypair(KeyType.RSA, 2048, id=ID, label=LABEL, store=True)
    return rsa.encode_rsa_public_key(public)


def p256(session: pkcs11.Session) -> bytes:
    parameters = session.create_domain_parameters(
        KeyType.EC,
        {Attribute.EC_PARAMS: ec.encode_named_curve_parameters("secp256r1")},
        local=True,
    )
    public, _ = parameters.generate_keypair(id=ID, label=LABEL, store=True)
    return ec.encode_ec_public_key(public)


def put(session: pkcs11.Session, certificate: x509.Certificate, label: str, key_id: bytes) -> None:
    session.create_object(
        {
            Attribute.CLASS: ObjectClass.CERTIFICATE,
            Attribute.CERTIFICATE_TYPE: pkcs11.CertificateType.X_509,
            Attribute.TOKEN: True,
            Attribute.LABEL: label,
            Attribute.ID: key_id,
            Attribute.SUBJECT: certificate.subject.public_bytes(),
            Attribute.ISSUER: certificate.issuer.public_bytes(),
            Attribute.SERIAL_NUMBER: asn1crypto.core.Integer(certificate.serial_number).dump(),
            Attribute.VALUE: certificate.public_bytes(DER),
        }
    )


def enrol(session: pkcs11.Session, encoded: bytes, authority: LittleAuthority) -> None:
    """Certify the pair and put the certificate with its issuer beside it."""
    public_key = serialization.load_der_public_key(encoded)
    put(session, authority.issue(public_key, LABEL), LABEL, ID)  # type: ignore[arg-type]
    put(session, authority.issuing, "issuing", b"\x01")


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "roster.pdf"
    document = pypdfium2.PdfDocument.new()
    document.new_page(200, 280)
    document.save(path)
    return path


def validate(signed: bytes, authority: LittleAuthority) -> validation.PdfSignatureStatus:
    trust = [asn1crypto.x509.Certificate.load(authority.root.public_bytes(DER))]
    context = ValidationContext(trust_roots=trust, allow_fetching=False)
    (embedded,) = PdfFileReader(BytesIO(signed)).embedded_signatures
    return validation.validate_pdf_signature(embedded, context)


@pytest.mark.parametrize(
    ("make", "raw"),
    [
        pytest.param(rsa_2048, False, id="rsa"),
        pytest.param(p256, True, id="ecdsa-raw"),
        pytest.param(p256, False, id="ecdsa-sha256"),  # SoftHSM2 2.6.1 has no CKM_ECDSA_SHA256
    ],
)
@pytest.mark.parametrize("subfilter", list(SigSeedSubFilter)[:2])
def test_a_pdf_is_signed(
    token: TokenUnderTest,
    library: pkcs11.lib,
    authority: LittleAuthority,
    page: Path,
    tmp_path: Path,
    make: Callable[[pkcs11.Session], bytes],
    raw: bool,
    subfilter: SigSeedSubFilter,
) -> None:
    out = tmp_path / "sealed.pdf"
    with library.get_token(token_label=token.label).open(rw=True, user_pin=token.pin) as session:
        enrol(session, make(session), authority)
        signer = PKCS11Signer(
            session, cert_label=LABEL, other_certs_to_pull=["issuing"], use_raw_mechanism=raw
        )
        with page.open("rb") as source, out.open("w+b") as target:
            signers.sign_pdf(
                IncrementalPdfFileWriter(source),
                signers.PdfSignatureMetadata(
                    field_name="Seal", md_algorithm="sha256", subfilter=subfilter
                ),
                signer=signer,
                output=target,
            )

    status = validate(out.read_bytes(), authority)
    assert status.bottom_line, status.pretty_print_details()
    told = token.run("pdfsig", "-nocert", out)
    assert "Signature is Valid." in told
    assert f"Signer Certificate Common Name: {LABEL}" in told
    assert "Total document signed" in told

    signed = bytearray(out.read_bytes())
    signed[signed.index(b"280")] ^= 1  # the height of the page, 280, becomes 380
    assert not validate(bytes(signed), authority).bottom_line


def test_pss_is_used_on_demand(
    token: TokenUnderTest, library: pkcs11.lib, authority: LittleAuthority, page: Path
) -> None:
    with library.get_token(token_label=token.label).open(rw=True, user_pin=token.pin) as session:
        enrol(session, rsa_2048(session), authority)
        signer = PKCS11Signer(
            session, cert_label=LABEL, other_certs_to_pull=["issuing"], prefer_pss=True
        )
        with page.open("rb") as source:
            signed = signers.sign_pdf(
                IncrementalPdfFileWriter(source),
                signers.PdfSignatureMetadata(field_name="Seal", md_algorithm="sha256"),
                signer=signer,
            )
    status = validate(signed.getvalue(), authority)
    assert status.bottom_line
    assert status.pkcs7_signature_mechanism == "rsassa_pss"


def test_all_certificates_are_fetched_at_once(
    token: TokenUnderTest, library: pkcs11.lib, authority: LittleAuthority
) -> None:
    with library.get_token(token_label=token.label).open(rw=True, user_pin=token.pin) as session:
        enrol(session, rsa_2048(session), authority)
        signer = PKCS11Signer(session, cert_id=ID, other_certs_to_pull=None, bulk_fetch=True)
        names = {certificate.subject.native["common_name"] for certificate in signer.cert_registry}
        assert names == {LABEL, "Test Issuing"}
        assert signer.signing_cert.subject.native["common_name"] == LABEL
