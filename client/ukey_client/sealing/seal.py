"""Putting the unit's seal on a PDF: PAdES B-T, with the seal's picture as its appearance."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final

from cryptography import x509
from pyhanko.pdf_utils.misc import PdfError
from pyhanko.sign.fields import SigFieldSpec, SigSeedSubFilter
from pyhanko.sign.general import SigningError
from pyhanko.sign.signers import PdfSignatureMetadata, PdfSigner

from ukey_client.errors import NotAPdf, SealHidden
from ukey_client.sealing.document import Document, Place
from ukey_client.sealing.longterm import validation_context
from ukey_client.sealing.picture import appearance, load_picture
from ukey_client.sealing.proof import require_sound
from ukey_client.sealing.signer import TokenSigner
from ukey_client.sealing.timestamp import TimeAuthority
from ukey_client.status import chain_of, check_status, der_of
from ukey_client.token import HeldCertificate, Token
from ukey_client.token.validity import require_valid

_DIGEST: Final = "sha256"
_REASON: Final = "电子签章"
_LOCATION: Final = "中国"


def seal_pdf(
    token: Token,
    certificate: HeldCertificate,
    pdf: bytes,
    *,
    tsa_url: str,
    authorities: Sequence[x509.Certificate] = (),
    place: Place | None = None,
    reason: str = _REASON,
    location: str = _LOCATION,
    long_term: bool = False,
    before_signing: Callable[[], None] | None = None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> bytes:
    """Seal a PDF with a certificate and the seal picture that lie on the token.

    The result begins with the very bytes of `pdf`: sealing is an incremental update
    (ISO 32000-2 §12.8.1). It carries the certificate's chain, from `authorities` and the token,
    and a time-stamp of the authority at `tsa_url` (PAdES B-T, ETSI EN 319 142-1); with
    `long_term` also what proves that the certificates stood at the time (B-LT).

    The document, the picture, the certificate's validity and status and the time-stamping
    authority are checked first. Only then `before_signing` is called: this is where the PIN is
    asked for, if the token is not logged in yet. A picture that the key shows to nobody before is
    read then. The result is verified before it is given out.
    """
    document = Document(pdf)
    writer = document.writer()
    spot = document.spot(place or Place())
    try:
        picture = load_picture(token.seal_picture())
    except SealHidden:
        if before_signing is None:
            raise
        picture = None
    require_valid(certificate, now())
    known = [*authorities, *token.authorities()]
    check_status(certificate, known, now())
    chain = chain_of(certificate.certificate, known)
    time_authority = TimeAuthority(tsa_url)
    field = document.free_field_name()
    asyncio.run(time_authority.async_dummy_response(_DIGEST))
    context = validation_context(chain, known, time_authority, now()) if long_term else None
    if before_signing is not None:
        before_signing()
    picture = picture or load_picture(token.seal_picture())
    signer = PdfSigner(
        PdfSignatureMetadata(
            field_name=field,
            md_algorithm=_DIGEST,
            subfilter=SigSeedSubFilter.PADES,
            reason=reason,
            location=location,
            name=certificate.owner,
            embed_validation_info=long_term,
            validation_context=context,
        ),
        TokenSigner(token, certificate, der_of(chain[1:])),
        timestamper=time_authority,
        stamp_style=appearance(picture, spot.turned),
        new_field_spec=SigFieldSpec(field, on_page=spot.page, box=spot.box),  # type: ignore[arg-type] # pyHanko takes fractions of points
    )
    try:
        sealed = signer.sign_pdf(writer)
    except (PdfError, SigningError) as error:
        raise NotAPdf("无法在其中加入签章") from error
    result = bytes(sealed.getvalue())
    require_sound(pdf, result, field)
    return result
