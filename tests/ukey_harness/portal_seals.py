"""Sealing rosters with pyHanko and a software key, rightly and wrongly."""

from __future__ import annotations

import asyncio
import hashlib
import io
import re
from typing import Any, Final

from asn1crypto import keys, x509
from cryptography import x509 as pyca
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID as Extended
from PIL import Image
from portal_parties import Holder, LittleAuthority, usage
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.images import PdfImage
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.pdf_utils.writer import copy_into_new_writer
from pyhanko.sign.fields import SigFieldSpec, SigSeedSubFilter, append_signature_field
from pyhanko.sign.signers import PdfSignatureMetadata, PdfSigner, SimpleSigner
from pyhanko.sign.timestamps import DummyTimeStamper
from pyhanko.stamp import StaticStampStyle
from pyhanko_certvalidator.registry import SimpleCertificateStore

from ukey_harness.world.seal import draw_seal
from ukey_harness.world.units import Unit

_STAMPING_KEY: Final = rsa.generate_private_key(65537, 2048)
"""Made once: the certificates over it are made anew."""


def _asn1(certificate: pyca.Certificate) -> x509.Certificate:
    return x509.Certificate.load(certificate.public_bytes(serialization.Encoding.DER))


def _key(key: Any) -> keys.PrivateKeyInfo:
    der = key.private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return keys.PrivateKeyInfo.load(der)


def signer_of(holder: Holder) -> SimpleSigner:
    store = SimpleCertificateStore()
    store.register(_asn1(holder.authority.issuing))
    return SimpleSigner(
        signing_cert=_asn1(holder.certificate), signing_key=_key(holder.key), cert_registry=store
    )


def stamper(authority: LittleAuthority) -> DummyTimeStamper:
    """Return a time-stamper with a certificate of `authority`."""
    key = _STAMPING_KEY
    certificate = authority.issue(
        key.public_key(),
        Unit.example(99),
        identifier=None,
        key_usage=usage("digital_signature"),
        extended=(Extended.TIME_STAMPING,),
    )
    store = SimpleCertificateStore()
    store.register(_asn1(authority.issuing))
    return DummyTimeStamper(
        tsa_cert=_asn1(certificate),
        tsa_key=_key(key),
        certs_to_embed=store,
        fixed_dt=authority.clock.now(),
    )


def seal(
    holder: Holder,
    pdf: bytes,
    *,
    name: str = "Seal1",
    digest: str = "sha256",
    times: DummyTimeStamper | None = None,
    stamped: bool = True,
) -> bytes:
    """Seal as a client does: an incremental update, PAdES, the round red seal on the last page.

    The time-stamp comes from `times`, or else from the holder's own authority.
    """
    if stamped and times is None:
        times = stamper(holder.authority)
    picture = Image.open(io.BytesIO(draw_seal(holder.unit.name, holder.unit.number)))
    signer = PdfSigner(
        PdfSignatureMetadata(
            field_name=name, md_algorithm=digest, subfilter=SigSeedSubFilter.PADES
        ),
        signer_of(holder),
        timestamper=times,
        stamp_style=StaticStampStyle(
            background=PdfImage(picture), border_width=0, background_opacity=1
        ),
        new_field_spec=SigFieldSpec(name, on_page=-1, box=(672, 57, 785, 170)),
    )
    out = io.BytesIO()
    signer.sign_pdf(IncrementalPdfFileWriter(io.BytesIO(pdf)), output=out)
    return out.getvalue()


def with_note(pdf: bytes) -> bytes:
    """Append an update that writes something onto the first page."""
    writer = IncrementalPdfFileWriter(io.BytesIO(pdf))
    page = writer.root["/Pages"]["/Kids"][0]
    content = generic.StreamObject(stream_data=b"BT /F0 12 Tf 99 99 Td (9) Tj ET")
    writer.add_stream_to_page(0, writer.add_object(content))
    writer.update_container(page)
    return _written(writer)


def with_title(pdf: bytes) -> bytes:
    """Append an update that puts an entry into the catalog."""
    writer = IncrementalPdfFileWriter(io.BytesIO(pdf))
    writer.root["/OpenAction"] = generic.DictionaryObject(
        {generic.pdf_name("/S"): generic.pdf_name("/JavaScript")}
    )
    writer.update_root()
    return _written(writer)


def with_field(pdf: bytes) -> bytes:
    """Append an update with an empty signature field, which is filling in a form."""
    writer = IncrementalPdfFileWriter(io.BytesIO(pdf))
    append_signature_field(writer, SigFieldSpec("Extra"))
    return _written(writer)


def with_text_field(pdf: bytes) -> bytes:
    """Append an update with a form of one empty text field, as another document might have."""
    writer = IncrementalPdfFileWriter(io.BytesIO(pdf))
    name = generic.pdf_name
    text_field = generic.DictionaryObject(
        {
            name("/FT"): name("/Tx"),
            name("/T"): generic.pdf_string("Remark"),
            name("/V"): generic.pdf_string(""),
        }
    )
    fields = generic.ArrayObject([writer.add_object(text_field)])
    writer.root["/AcroForm"] = generic.DictionaryObject(
        {name("/Fields"): fields, name("/SigFlags"): generic.NumberObject(3)}
    )
    writer.update_root()
    return _written(writer)


def with_text(pdf: bytes) -> bytes:
    """Append an update that fills in the text field."""
    writer = IncrementalPdfFileWriter(io.BytesIO(pdf))
    text_field = writer.root["/AcroForm"]["/Fields"][0]
    text_field["/V"] = generic.pdf_string("more")
    writer.update_container(text_field)
    return _written(writer)


def part_of_signature(sealed: bytes, part: str) -> bytes:
    """Return the bytes of a part of the seal's CMS, as they stand in Contents.

    part: signature (the signer's value), stamp (the value of the time-stamp's signer),
    attributes (the digest that is signed), certificate (the signer's).
    """
    (found,) = PdfFileReader(io.BytesIO(sealed)).embedded_signatures
    signer = found.signer_info
    signed = {one["type"].native: one["values"][0] for one in signer["signed_attrs"]}
    unsigned = {one["type"].native: one["values"][0] for one in signer["unsigned_attrs"]}
    token = unsigned["signature_time_stamp_token"]["content"]
    parts = {
        "signature": signer["signature"].native,
        "stamp": token["signer_infos"][0]["signature"].native,
        "attributes": signed["message_digest"].native,
        "certificate": found.signer_cert.dump(),
    }
    return bytes(parts[part])


def resealed(holder: Holder, sealed: bytes, hole: tuple[int, int]) -> bytes:
    """Seal anew with another ByteRange, of which the signature is good.

    hole: by how many bytes the hole begins and ends after where it should.
    """
    (found,) = PdfFileReader(io.BytesIO(sealed)).embedded_signatures
    _, before, after, rest = found.byte_range
    ranges = (0, before + hole[0], after + hole[1], rest - hole[1])
    written = re.search(rb"/ByteRange\s*\[[^]]*\]\s*", sealed[len(sealed) // 2 :])
    assert written is not None
    begin, end = (len(sealed) // 2 + at for at in written.span())
    entry = f"/ByteRange [{' '.join(map(str, ranges))}]".encode().ljust(end - begin)
    assert len(entry) == end - begin
    changed = bytearray(sealed)
    changed[begin:end] = entry
    return _signed_over(holder, changed, (before, after), ranges)


def _signed_over(
    holder: Holder, pdf: bytearray, contents: tuple[int, int], ranges: tuple[int, int, int, int]
) -> bytes:
    size = contents[1] - contents[0] - 2
    first, second = ranges[:2], ranges[2:]
    covered = bytes(pdf[: first[1]] + pdf[second[0] : sum(second)])
    signature = asyncio.run(
        signer_of(holder).async_sign(
            hashlib.sha256(covered).digest(),
            "sha256",
            use_pades=True,
            timestamper=stamper(holder.authority),
        )
    ).dump()
    pdf[contents[0] + 1 : contents[1] - 1] = signature.hex().upper().encode().ljust(size, b"0")
    return bytes(pdf)


def rewritten(pdf: bytes) -> bytes:
    """Write the same pages as a new file."""
    writer = copy_into_new_writer(PdfFileReader(io.BytesIO(pdf)))
    return _written(writer)


def encrypted(pdf: bytes) -> bytes:
    """Write the same pages behind a password."""
    writer = copy_into_new_writer(PdfFileReader(io.BytesIO(pdf)))
    writer.encrypt("secret")
    return _written(writer)


def _written(writer: Any) -> bytes:
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()
