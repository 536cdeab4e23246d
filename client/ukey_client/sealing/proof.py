"""Verifying a seal right after it was put on, before anybody gets the file."""

import io

from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.validation import validate_pdf_signature
from pyhanko.sign.validation.pdf_embedded import EmbeddedPdfSignature
from pyhanko_certvalidator import ValidationContext

from ukey_client.errors import SealUnsound


def require_sound(original: bytes, sealed: bytes, field: str) -> None:
    """Check what a verifier will check, except whom he trusts; SealUnsound if it fails.

    The original must stand unchanged at the front, the signature and its time-stamp must
    verify, and nothing may have been changed behind them.
    """
    if not sealed.startswith(original):
        raise SealUnsound("原文被改动")
    reader = PdfFileReader(io.BytesIO(sealed))
    seals = [one for one in reader.embedded_regular_signatures if one.field_name == field]
    if len(seals) != 1:
        raise SealUnsound("找不到签章")
    status = validate_pdf_signature(seals[0], _trusting_all_that_is_embedded(seals[0]))
    if not (status.intact and status.valid):
        raise SealUnsound("签名无效")
    stamp = status.timestamp_validity
    if stamp is None or not (stamp.intact and stamp.valid):
        raise SealUnsound("时间戳无效")
    if not status.docmdp_ok:
        raise SealUnsound("签章后文件被改动")


def _trusting_all_that_is_embedded(seal: EmbeddedPdfSignature) -> ValidationContext:
    """Whom to trust is the verifier's business: here every path is taken as it is given."""
    embedded = [seal.signer_cert, *seal.other_embedded_certs]
    for attribute in seal.signer_info["unsigned_attrs"]:
        if attribute["type"].native == "signature_time_stamp_token":
            for token in attribute["values"]:
                embedded += [one.chosen for one in token["content"]["certificates"]]
    return ValidationContext(trust_roots=embedded, allow_fetching=False)
