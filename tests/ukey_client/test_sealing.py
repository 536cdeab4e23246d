"""Sealing: what `pdfsig`, pyHanko and poppler's renderer say of it, and what is not sealed."""

import io
import logging
import subprocess
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from asn1crypto import x509 as asn1_x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from PIL import Image, ImageFile
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.pdf_utils.writer import PageObject, PdfFileWriter
from pyhanko.sign.fields import SigFieldSpec, append_signature_field
from pyhanko.sign.validation import validate_pdf_signature
from pyhanko_certvalidator import ValidationContext
from small_ca import SmallCa
from small_pdf import make_pdf
from softhsm_key import LABEL, MODULE, PIN, UNIT, Key, Library, seal_picture, write_seal

from ukey_client.errors import (
    AlreadySealed,
    CertificateExpired,
    CertificateRevoked,
    CertificateUntrusted,
    EncryptedPdf,
    HolderError,
    NotAPdf,
    PlaceAbsent,
    SealPictureAbsent,
    SealUnsound,
    TimestampRefused,
    Unreachable,
)
from ukey_client.sealing import Place, seal_pdf
from ukey_client.sealing.document import SEAL_DIAMETER, Document
from ukey_client.sealing.proof import require_sound
from ukey_client.status import check_status
from ukey_client.token import HeldCertificate, open_token
from ukey_client.token.cryptoki.token import CryptokiToken


def seal(token: CryptokiToken, ca: SmallCa, pdf: bytes, **wishes: Any) -> bytes:
    (held,) = token.certificates()
    wishes.setdefault("before_signing", lambda: token.login(PIN))
    return seal_pdf(token, held, pdf, tsa_url=ca.tsa_url, **wishes)


def context(ca: SmallCa) -> ValidationContext:
    root = asn1_x509.Certificate.load(ca.root.public_bytes(Encoding.DER))
    return ValidationContext(trust_roots=[root], allow_fetching=False)


def pdfsig(path: Path) -> str:
    judged = subprocess.run(
        ["pdfsig", "-nocert", str(path)], capture_output=True, text=True, check=False, timeout=60
    )
    return judged.stdout


def render(path: Path, page: int, *, resolution: int = 72) -> Image.Image:
    with tempfile.TemporaryDirectory() as folder:
        options = ["-png", "-r", str(resolution), "-f", str(page), "-l", str(page)]
        subprocess.run(["pdftoppm", *options, str(path), f"{folder}/page"], check=True, timeout=60)
        (picture,) = Path(folder).iterdir()
        with Image.open(picture) as image:
            return image.convert("RGB")


def red_box(image: Image.Image) -> tuple[int, int, int, int]:
    """Where the page is red: left, top, right, bottom in pixels."""
    red, green, _ = image.split()
    mask = Image.eval(green, lambda value: 255 if value < 100 else 0)
    mask.paste(0, mask=Image.eval(red, lambda value: 255 if value < 180 else 0))
    box = mask.getbbox()
    assert box is not None, "no seal is seen"
    return box


@pytest.mark.parametrize("kind", ["rsa2048", "p256"])
def test_pdfsig_and_pyhanko_accept_the_seal(
    make_key: Callable[..., Key], ca: SmallCa, tmp_path: Path, kind: str
) -> None:
    make_key(kind)
    pdf = make_pdf("名册", pages=2)
    with open_token(MODULE) as token:
        sealed = seal(token, ca, pdf)
    assert sealed.startswith(pdf)
    path = tmp_path / "sealed.pdf"
    path.write_bytes(sealed)
    said = pdfsig(path)
    assert "Signature is Valid." in said
    assert "ETSI.CAdES.detached" in said
    assert "Total document signed" in said
    assert UNIT in said
    (signature,) = PdfFileReader(io.BytesIO(sealed)).embedded_signatures
    status = validate_pdf_signature(signature, context(ca), context(ca))
    assert status.bottom_line, status.pretty_print_details()
    assert status.timestamp_validity is not None
    assert status.timestamp_validity.trusted
    assert signature.field_name == "Seal1"
    assert signature.sig_object["/Reason"] == "电子签章"
    assert signature.sig_object["/Name"] == UNIT


def test_sealing_logs_no_complaint(
    token: CryptokiToken, ca: SmallCa, caplog: pytest.LogCaptureFixture
) -> None:
    assert seal(token, ca, make_pdf())
    assert [one for one in caplog.records if one.levelno >= logging.WARNING] == []


def test_the_chain_is_embedded(token: CryptokiToken, ca: SmallCa) -> None:
    sealed = seal(token, ca, make_pdf())
    (signature,) = PdfFileReader(io.BytesIO(sealed)).embedded_signatures
    embedded = {one.chosen.dump() for one in signature.signed_data["certificates"]}
    for authority in (ca.issuing, ca.root):
        assert authority.public_bytes(Encoding.DER) in embedded


def test_an_issuer_that_is_not_on_the_key_is_fetched(
    make_key: Callable[..., Key], ca: SmallCa
) -> None:
    make_key("p256", with_chain=False)
    with open_token(MODULE) as token:
        sealed = seal(token, ca, make_pdf())
    assert "/certs/issuing.crt" in ca.mood.calls
    (signature,) = PdfFileReader(io.BytesIO(sealed)).embedded_signatures
    embedded = {one.chosen.dump() for one in signature.signed_data["certificates"]}
    assert ca.issuing.public_bytes(Encoding.DER) in embedded


def test_long_term_proof_is_embedded(token: CryptokiToken, ca: SmallCa, tmp_path: Path) -> None:
    sealed = seal(token, ca, make_pdf(), long_term=True)
    reader = PdfFileReader(io.BytesIO(sealed))
    dss = reader.root["/DSS"]
    assert len(dss["/OCSPs"]) == 1
    assert len(dss["/CRLs"]) >= 1
    (signature,) = reader.embedded_signatures
    status = validate_pdf_signature(signature, context(ca), context(ca))
    assert status.bottom_line, status.pretty_print_details()
    (tmp_path / "sealed.pdf").write_bytes(sealed)
    assert "Signature is Valid." in pdfsig(tmp_path / "sealed.pdf")


# --- how it looks -----------------------------------------------------------------------------


def test_the_seal_stands_at_the_lower_right_of_the_last_page(
    token: CryptokiToken, ca: SmallCa, tmp_path: Path
) -> None:
    path = tmp_path / "sealed.pdf"
    path.write_bytes(seal(token, ca, make_pdf(pages=2)))
    left, top, right, bottom = red_box(render(path, 2))
    assert right - left == pytest.approx(SEAL_DIAMETER, rel=0.05)
    assert bottom - top == pytest.approx(SEAL_DIAMETER, rel=0.05)
    assert left > 595 / 2
    assert top > 842 / 2
    with pytest.raises(AssertionError, match="no seal"):
        red_box(render(path, 1))


def test_the_ground_of_the_seal_is_transparent(
    token: CryptokiToken, ca: SmallCa, tmp_path: Path
) -> None:
    path = tmp_path / "sealed.pdf"
    path.write_bytes(seal(token, ca, make_pdf(), place=Place(0, (10, 10, 123, 123))))
    # The test page has a grey bar from (20, 20) to (80, 50): it is seen through the seal.
    page = render(path, 1)
    assert page.getpixel((40, 842 - 35)) == (204, 204, 204)
    assert page.getpixel((30, 842 - 80)) == (255, 255, 255)


@pytest.mark.parametrize("turned", [0, 90, 180, 270])
def test_the_seal_stands_upright_on_turned_pages(
    token: CryptokiToken, ca: SmallCa, tmp_path: Path, turned: int
) -> None:
    path = tmp_path / "sealed.pdf"
    path.write_bytes(seal(token, ca, make_pdf(rotate=turned), place=Place(0, (300, 60, 420, 180))))
    page = render(path, 1)
    left, top, right, bottom = red_box(page)
    high = page.size[1]
    assert (left, right) == (pytest.approx(302, abs=3), pytest.approx(418, abs=3))
    assert (top, bottom) == (pytest.approx(high - 178, abs=3), pytest.approx(high - 62, abs=3))
    # The long arm of the cross points up: there is red above the middle, none below it.
    middle = (left + right) // 2
    assert page.getpixel((middle, top + 30))[1] < 100  # type: ignore[index]
    assert page.getpixel((middle, bottom - 30))[1] > 200  # type: ignore[index]


def test_places_are_counted_from_what_is_visible(
    token: CryptokiToken, ca: SmallCa, tmp_path: Path
) -> None:
    path = tmp_path / "sealed.pdf"
    pdf = make_pdf(crop=(100, 100, 400, 500), inherit=True)
    path.write_bytes(seal(token, ca, pdf, place=Place(0, (0, 0, 120, 120))))
    (signature,) = PdfFileReader(io.BytesIO(path.read_bytes())).embedded_signatures
    assert [float(one) for one in signature.sig_field["/Rect"]] == [100, 100, 220, 220]


def test_a_flat_box_keeps_the_seal_round(token: CryptokiToken, ca: SmallCa, tmp_path: Path) -> None:
    path = tmp_path / "sealed.pdf"
    path.write_bytes(seal(token, ca, make_pdf(), place=Place(0, (100, 100, 400, 200))))
    left, top, right, bottom = red_box(render(path, 1))
    assert right - left == pytest.approx(bottom - top, abs=2)


def test_a_tiny_page_gets_a_smaller_seal() -> None:
    spot = Document(make_pdf(size=(100, 80))).spot(Place())
    left, bottom, right, top = spot.box
    assert right - left == top - bottom == 40
    assert left >= 0
    assert bottom >= 0


@pytest.mark.parametrize(
    "place",
    [
        Place(5),
        Place(-3),
        Place(0, (500, 10, 700, 210)),
        Place(0, (-1, 10, 100, 110)),
        Place(0, (100, 100, 100, 200)),
        Place(0, (200, 100, 100, 200)),
        Place(0, (float("nan"), 0, 10, 10)),
    ],
)
def test_places_that_are_not_on_the_page(token: CryptokiToken, ca: SmallCa, place: Place) -> None:
    with pytest.raises(PlaceAbsent):
        seal(token, ca, make_pdf(pages=2), place=place)


# --- documents that are not sealed ------------------------------------------------------------


def never() -> None:
    raise AssertionError("the PIN was asked for")


def encrypted() -> bytes:
    writer = PdfFileWriter()
    writer.encrypt("owner", "user")
    stream = writer.add_object(generic.StreamObject(stream_data=b"0 g"))
    writer.insert_page(PageObject(contents=stream, media_box=(0, 0, 100, 100)))
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


WHOLE = make_pdf()


@pytest.mark.parametrize(
    "pdf",
    [
        b"",
        b"PK\x03\x04 a word document",
        b"%PDF-1.7\n",
        b"%PDF-1.7\n" + b"\xff" * 500,
        WHOLE[: len(WHOLE) // 2],
        WHOLE.replace(b"startxref\n", b"startxref\n9"),
        WHOLE.replace(b"/Pages 2 0 R", b"/Pages 9 0 R"),
        WHOLE.replace(b"/Count 1", b"/Count 0"),
        WHOLE.replace(b"/MediaBox [0 0 595 842]", b"/MediaBox [0 0 (a) 842]"),
        WHOLE.replace(b"/Kids [4 0 R]", b"/Kids [2 0 R]"),
    ],
    ids=lambda pdf: f"{len(pdf)}-bytes",
)
def test_what_is_no_pdf(token: CryptokiToken, ca: SmallCa, pdf: bytes) -> None:
    with pytest.raises(NotAPdf, match="PDF"):
        seal(token, ca, pdf, before_signing=never)
    assert ca.mood.calls == []


def test_an_encrypted_pdf(token: CryptokiToken, ca: SmallCa) -> None:
    with pytest.raises(EncryptedPdf, match="密码"):
        seal(token, ca, encrypted(), before_signing=never)


def test_a_pdf_that_is_sealed_already(token: CryptokiToken, ca: SmallCa) -> None:
    sealed = seal(token, ca, make_pdf())
    with pytest.raises(AlreadySealed, match="Seal1") as caught:
        seal(token, ca, sealed, before_signing=never)
    assert caught.value.fields == ("Seal1",)


def test_an_empty_field_of_that_name_does_no_harm(token: CryptokiToken, ca: SmallCa) -> None:
    writer = IncrementalPdfFileWriter(io.BytesIO(make_pdf()))
    append_signature_field(writer, SigFieldSpec("Seal1", box=(10, 10, 50, 50)))
    out = io.BytesIO()
    writer.write(out)
    sealed = seal(token, ca, out.getvalue())
    (signature,) = PdfFileReader(io.BytesIO(sealed)).embedded_signatures
    assert signature.field_name == "Seal2"


# --- keys and certificates with which nothing is sealed -----------------------------------------


def test_no_seal_on_the_key(make_key: Callable[..., Key], ca: SmallCa) -> None:
    make_key("p256", with_seal=False)
    with open_token(MODULE) as token, pytest.raises(SealPictureAbsent, match="没有电子印章"):
        seal(token, ca, make_pdf(), before_signing=never)


@pytest.mark.parametrize("picture", [b"", b"no picture", seal_picture()[:200]])
@pytest.mark.parametrize("lenient", [False, True])
def test_a_damaged_seal_on_the_key(
    make_key: Callable[..., Key],
    ca: SmallCa,
    picture: bytes,
    monkeypatch: pytest.MonkeyPatch,
    *,
    lenient: bool,
) -> None:
    # weasyprint turns this switch for the whole process
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", lenient)
    make_key("p256", with_seal=False)
    with Library() as library:
        token_ = library.get_token(token_label=LABEL)
        with token_.open(rw=True, user_pin=PIN) as session:
            write_seal(session, picture)
    with open_token(MODULE) as token, pytest.raises(SealPictureAbsent, match="已损坏"):
        seal(token, ca, make_pdf(), before_signing=never)


def test_an_expired_certificate(make_key: Callable[..., Key], ca: SmallCa) -> None:
    make_key("p256", starts=timedelta(days=-30), ends=timedelta(days=-1))
    with open_token(MODULE) as token, pytest.raises(CertificateExpired, match="延期"):
        seal(token, ca, make_pdf(), before_signing=never)


@pytest.mark.parametrize("service", ["ocsp", "crl"])
def test_a_revoked_certificate(token: CryptokiToken, key: Key, ca: SmallCa, service: str) -> None:
    ca.mood.revoked.add(key.certificate.serial_number)
    if service == "crl":
        ca.mood.ocsp = "error"
    with pytest.raises(CertificateRevoked, match="吊销") as caught:
        seal(token, ca, make_pdf(), before_signing=never)
    assert caught.value.since is not None


@pytest.mark.parametrize("ocsp", ["error", "garbage", "forged", "stale"])
def test_a_status_that_nobody_vouches_for(token: CryptokiToken, ca: SmallCa, ocsp: str) -> None:
    ca.mood.ocsp = ocsp
    ca.mood.crl = "error"
    with pytest.raises(Unreachable, match="证书状态服务"):
        seal(token, ca, make_pdf(), before_signing=never)


def test_the_list_serves_where_the_responder_does_not(token: CryptokiToken, ca: SmallCa) -> None:
    ca.mood.ocsp = "forged"
    assert seal(token, ca, make_pdf())


def test_a_forged_revocation_is_not_believed(token: CryptokiToken, key: Key, ca: SmallCa) -> None:
    ca.mood.ocsp, ca.mood.crl = "forged", "garbage"
    ca.mood.revoked.add(key.certificate.serial_number)
    with pytest.raises(Unreachable, match="签名无效"):
        seal(token, ca, make_pdf(), before_signing=never)


def test_a_certificate_that_names_no_status_service(
    make_key: Callable[..., Key], ca: SmallCa
) -> None:
    make_key("p256", with_ocsp=False, with_crl=False)
    with open_token(MODULE) as token:
        assert seal(token, ca, make_pdf())
    assert set(ca.mood.calls) == {"/tsa"}


def test_an_unknown_issuer(make_key: Callable[..., Key], ca: SmallCa) -> None:
    make_key("p256", with_ocsp=False, with_chain=False)
    with open_token(MODULE) as token, pytest.raises(CertificateUntrusted, match="签发机构"):
        seal(token, ca, make_pdf(), before_signing=never)


def test_an_issuer_that_cannot_be_asked_for(ca: SmallCa, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ca, "url", "http://127.0.0.1:9")  # nobody listens there
    certificate = ca.issue(ec.generate_private_key(ec.SECP256R1()).public_key(), "单位")
    held = HeldCertificate(b"1", "单位", certificate.public_bytes(Encoding.DER))
    with pytest.raises(Unreachable, match="无法连接"):
        check_status(held, [], datetime.now(UTC))


# --- the time-stamping authority ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("mood", "fault", "said"),
    [
        ("error", Unreachable, "HTTP 500"),
        ("garbage", TimestampRefused, "不是时间戳"),
        ("refuse", TimestampRefused, "no time today"),
        ("other-imprint", TimestampRefused, "与请求不符"),
        ("other-nonce", TimestampRefused, "与请求不符"),
    ],
)
def test_time_stamps_that_are_not_taken(
    token: CryptokiToken, ca: SmallCa, mood: str, fault: type[HolderError], said: str
) -> None:
    ca.mood.tsa = mood
    with pytest.raises(fault, match=said) as caught:
        seal(token, ca, make_pdf(), before_signing=never)
    assert caught.value.exit_code == 7


def test_no_time_stamping_authority(token: CryptokiToken) -> None:
    (held,) = token.certificates()
    with pytest.raises(Unreachable, match="时间戳服务"):
        seal_pdf(token, held, make_pdf(), tsa_url="http://127.0.0.1:9", before_signing=never)


# --- the check before anything is given out -----------------------------------------------------


def test_the_check_finds_what_is_unsound(token: CryptokiToken, ca: SmallCa) -> None:
    pdf = make_pdf()
    sealed = seal(token, ca, pdf)
    require_sound(pdf, sealed, "Seal1")
    changed = bytearray(sealed)
    changed[len(pdf) + 200] ^= 1
    with pytest.raises(SealUnsound):
        require_sound(pdf, bytes(changed), "Seal1")
    with pytest.raises(SealUnsound, match="原文"):
        require_sound(b"x" + pdf, sealed, "Seal1")
    with pytest.raises(SealUnsound, match="找不到"):
        require_sound(pdf, sealed, "Seal2")
