"""Verifying a seal right after it was put on, before anybody gets the file."""

import io

from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.validation import validate_pdf_signature
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
    trusting_nobody = ValidationContext(trust_roots=[], allow_fetching=False)
    status = validate_pdf_signature(seals[0], trusting_nobody)
    if not (status.intact and status.valid):
        raise SealUnsound("签名无效")
    stamp = status.timestamp_validity
    if stamp is None or not (stamp.intact and stamp.valid):
        raise SealUnsound("时间戳无效")
    if not status.bottom_line and not status.docmdp_ok:
        raise SealUnsound("签章后文件被改动")
