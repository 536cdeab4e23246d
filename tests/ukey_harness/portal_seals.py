"""Sealing rosters with pyHanko and a software key, rightly and wrongly."""

from __future__ import annotations

import io
from typing import Any

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
from pyhanko.sign.fields import SigFieldSpec, SigSeedSubFilter
from pyhanko.sign.signers import PdfSignatureMetadata, PdfSigner, SimpleSigner
from pyhanko.sign.timestamps import DummyTimeStamper
from pyhanko.stamp import StaticStampStyle
from pyhanko_certvalidator.registry import SimpleCertificateStore

from ukey_harness.world.seal import draw_seal
from ukey_harness.world.units import Unit


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
    key = rsa.generate_private_key(65537, 2048)
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
) -> bytes:
    """Seal as a client does: an incremental update, PAdES, the round red seal on the last page."""
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
