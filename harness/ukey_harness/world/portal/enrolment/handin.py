"""Taking the sealed roster back: the one we produced, sealed by this unit, and whole."""

from __future__ import annotations

import asyncio
import io
import logging

from asn1crypto import cms
from pyhanko.pdf_utils.misc import PdfError
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.diff_analysis import DEFAULT_DIFF_POLICY, DiffResult, ModificationLevel
from pyhanko.sign.fields import enumerate_sig_fields
from pyhanko.sign.validation import async_validate_pdf_signature
from pyhanko.sign.validation.pdf_embedded import EmbeddedPdfSignature
from pyhanko.sign.validation.settings import KeyUsageConstraints
from pyhanko.sign.validation.status import PdfSignatureStatus, SignatureCoverageLevel

from ukey_harness.world.portal.refusals import PortalRefusal
from ukey_harness.world.portal.signatures import DIGESTS, require_strength
from ukey_harness.world.portal.trust import Purpose, Trust, unit_name

_log = logging.getLogger(__name__)

_MAGIC = b"%PDF-"


class HandIn:
    """The examination of sealed PDFs."""

    def __init__(self, trust: Trust) -> None:
        self._trust = trust

    def require(self, sealed: bytes, produced: bytes, unit: str) -> str:
        """Examine a sealed PDF against the produced one; return the signer's name.

        unit: the identifier that must stand in the signer's certificate.
        Takes time and may ask the CA: call it from a worker thread.
        Raises not_a_pdf, not_sealed, seal_invalid, timestamp_missing, the certificate_* and
        other codes of `Trust.require`, signer_mismatch, document_mismatch.
        """
        reader = _read(sealed)
        seal = _only_seal(reader)
        self._require_whole(seal, sealed)
        others = tuple(seal.other_embedded_certs)
        signed_by = self._trust.require(seal.signer_cert, others, Purpose.SEAL)
        if signed_by != unit:
            raise PortalRefusal("signer_mismatch")
        _require_same_document(reader, seal, sealed, produced)
        return unit_name(seal.signer_cert)

    def _require_whole(self, seal: EmbeddedPdfSignature, sealed: bytes) -> None:
        """Require that the signature verifies, covers all but its own upkeep, and is stamped.

        The stamp is that of PAdES level B-T (ETSI EN 319 142-1 §6): by a time-stamping
        authority that chains to the trust roots, over this signature.
        """
        if seal.md_algorithm not in DIGESTS:
            raise PortalRefusal("seal_invalid", "签章使用的摘要算法不被接受。请重新签章。")
        require_strength(seal.signer_cert, "seal_invalid")
        try:
            status = asyncio.run(self._validate(seal))
        except Exception as error:  # pyHanko raises many kinds for what strangers send
            _log.info("a seal could not be judged: %s", type(error).__name__)
            raise PortalRefusal("seal_invalid") from error
        if not (status.intact and status.valid):
            raise PortalRefusal("seal_invalid")
        covers = status.coverage in {
            SignatureCoverageLevel.ENTIRE_FILE,
            SignatureCoverageLevel.ENTIRE_REVISION,
        }
        if not covers or not _leaves_out_only_itself(seal, sealed):
            raise PortalRefusal("seal_invalid", "电子签章没有覆盖整个文件。请重新签章。")
        after = status.modification_level
        if after is None or after > ModificationLevel.LTA_UPDATES or not status.docmdp_ok:
            raise PortalRefusal("seal_invalid", "签章之后文件又被改动过。请重新签章。")
        stamp = status.timestamp_validity
        if stamp is None:
            raise PortalRefusal("timestamp_missing")
        if not (stamp.valid and stamp.intact and stamp.trusted):
            raise PortalRefusal("seal_invalid", "签章的时间戳无效。请重新签章。")

    async def _validate(self, seal: EmbeddedPdfSignature) -> PdfSignatureStatus:
        # The signer's certificate is judged by Trust, with its own codes; pyHanko judges the
        # seal's integrity and the time-stamp here.
        context = self._trust.timestamp_context(tuple(seal.other_embedded_certs))
        return await async_validate_pdf_signature(
            seal,
            signer_validation_context=context,
            ts_validation_context=context,
            key_usage_settings=KeyUsageConstraints(key_usage=None),
        )


def _read(sealed: bytes) -> PdfFileReader:
    if not sealed.startswith(_MAGIC):
        raise PortalRefusal("not_a_pdf")
    try:
        reader = PdfFileReader(io.BytesIO(sealed), strict=True)
        if reader.encrypted:
            raise PortalRefusal("not_a_pdf", "文件已加密，无法验证。请上传未加密的名册。")
        # Reaching the pages shows that it is a document, not only a header.
        if int(reader.root["/Pages"]["/Count"]) < 1:
            raise PortalRefusal("not_a_pdf")
    except (PdfError, ValueError, TypeError, KeyError, IndexError, RecursionError) as error:
        raise PortalRefusal("not_a_pdf") from error
    return reader


def _only_seal(reader: PdfFileReader) -> EmbeddedPdfSignature:
    try:
        seals = reader.embedded_regular_signatures
    except Exception as error:  # a signature that is there but garbage
        _log.info("a seal could not be read: %s", type(error).__name__)
        raise PortalRefusal("seal_invalid") from error
    if not seals:
        raise PortalRefusal("not_sealed")
    if len(seals) > 1:
        raise PortalRefusal(
            "seal_invalid", f"文件上有 {len(seals)} 个电子签章，只能有一个。请重新签章。"
        )
    seal: EmbeddedPdfSignature = seals[0]
    if not isinstance(seal.signed_data, cms.SignedData):
        raise PortalRefusal("seal_invalid")
    try:
        _ = seal.signer_cert, seal.other_embedded_certs
    except Exception as error:
        raise PortalRefusal("seal_invalid") from error
    return seal


def _leaves_out_only_itself(seal: EmbeddedPdfSignature, sealed: bytes) -> bool:
    """Whether the one hole of the ByteRange is the value of Contents (ISO 32000-2 §12.8.1).

    pyHanko takes a whole file for covered if the sizes add up, wherever the hole lies.
    """
    _, before, after, _ = seal.byte_range
    hole = sealed[before:after]
    return hole.lower() == b"<" + seal.pkcs7_content.hex().encode() + b">"


def _require_same_document(
    reader: PdfFileReader, seal: EmbeddedPdfSignature, sealed: bytes, produced: bytes
) -> None:
    """Require the produced document under the seal, and nothing added but the seal.

    Sealing is an incremental update (ISO 32000-2 §7.5.6): the sealed file begins with the
    produced one byte for byte. What was added may be the signature field with its appearance
    and its upkeep, nothing that changes a page or fills in anything else.
    """
    if not sealed.startswith(produced):
        raise PortalRefusal("document_mismatch")
    try:
        before = PdfFileReader(io.BytesIO(produced), strict=True)
        changes = DEFAULT_DIFF_POLICY.review_file(reader, before.xrefs.total_revisions - 1)
        stamps = {stamp.field_name for stamp in reader.embedded_timestamp_signatures}
        # A signature field that is added and left empty is no changed field to pyHanko.
        added = _signature_fields(reader) - _signature_fields(before)
    except Exception as error:
        _log.info("the changes under a seal could not be judged: %s", type(error).__name__)
        raise PortalRefusal("document_mismatch") from error
    if (
        not isinstance(changes, DiffResult)
        or changes.modification_level > ModificationLevel.FORM_FILLING
        or not changes.changed_form_fields | added <= {seal.field_name, *stamps}
    ):
        raise PortalRefusal("document_mismatch", "签章时文件的内容被改动过。请用原名册重新签章。")


def _signature_fields(reader: PdfFileReader) -> set[str]:
    return {name for name, _, _ in enumerate_sig_fields(reader)}
