"""Judges of a sealed PDF: pyHanko's validator, poppler's pdfsig, and the eye."""

import io
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from PIL import Image
from pyhanko.keys import load_certs_from_pemder_data
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.validation import validate_pdf_signature
from pyhanko.sign.validation.status import SignatureCoverageLevel
from pyhanko_certvalidator import ValidationContext

TIME_LIMIT = 60.0
RED_SHARE = 0.0005  # of a page's pixels; the seal of 40 mm covers about one percent in strokes


class MissingJudge(Exception):  # noqa: N818 - names what is missing
    """A program that is to judge is not installed."""


@dataclass(frozen=True)
class Judgement:
    """What pyHanko says of the one signature of a PDF."""

    summary: str
    valid: bool
    intact: bool
    whole: bool
    time: datetime | None
    signer: str
    signatures: int
    report: str


def judge(
    pdf: bytes, root: x509.Certificate, others: list[x509.Certificate], moment: datetime
) -> Judgement:
    """Validate the signature of a PDF with pyHanko, trusting this root alone.

    Revocation is not asked for here (no request leaves): the portal and the client have their own
    scenarios for that. `moment` is the world's time.
    """
    reader = PdfFileReader(io.BytesIO(pdf))
    signatures = reader.embedded_signatures
    if not signatures:
        return Judgement("no signature", False, False, False, None, "", 0, "没有签名")  # noqa: FBT003
    anchors = list(load_certs_from_pemder_data(root.public_bytes(Encoding.DER)))
    more = [
        each
        for one in others
        for each in load_certs_from_pemder_data(one.public_bytes(Encoding.DER))
    ]
    context = ValidationContext(
        trust_roots=anchors, other_certs=more, allow_fetching=False, moment=moment
    )
    status = validate_pdf_signature(
        signatures[0], signer_validation_context=context, ts_validation_context=context
    )
    stamp = status.timestamp_validity
    signer = signatures[0].signer_cert
    return Judgement(
        summary=status.summary(),
        valid=bool(status.valid and status.trusted and status.bottom_line),
        intact=bool(status.intact),
        whole=status.coverage is SignatureCoverageLevel.ENTIRE_FILE,
        time=stamp.timestamp if stamp is not None and stamp.valid and stamp.trusted else None,
        signer="" if signer is None else str(signer.subject.native.get("common_name", "")),
        signatures=len(signatures),
        report=status.pretty_print_details(),  # type: ignore[no-untyped-call]
    )


def pdfsig(pdf: Path, root: x509.Certificate, others: list[x509.Certificate]) -> str:
    """Return what poppler's pdfsig prints of a PDF; MissingJudge where it is not installed.

    With NSS's certutil at hand it is told to trust the root; without, it cannot say more of the
    certificate than that it does not know its issuer.
    """
    program, certutil = shutil.which("pdfsig"), shutil.which("certutil")
    if program is None:
        raise MissingJudge("pdfsig is not installed: apt-get install poppler-utils")
    with tempfile.TemporaryDirectory(prefix="ukey-nss-") as folder:
        database: list[str] = []
        if certutil is not None:
            place = f"sql:{folder}"
            _run([certutil, "-N", "-d", place, "--empty-password"], folder)
            for number, certificate in enumerate([root, *others]):
                file = Path(folder) / f"{number}.pem"
                file.write_bytes(certificate.public_bytes(Encoding.PEM))
                trust = ["-t", "CT,C,C" if number == 0 else ",,"]
                name = ["-n", f"ukeylab {number}"]
                _run([certutil, "-A", "-d", place, *name, *trust, "-i", str(file)], folder)
            database = ["-nssdir", place]
        return _run([program, *database, "-no-ocsp", str(pdf)], folder)


def red_share(png: bytes) -> float:
    """Return the share of a picture's pixels that are as red as a seal."""
    with Image.open(io.BytesIO(png)) as picture:
        pixels = picture.convert("RGB").resize((600, 600)).tobytes()
    red = sum(
        1
        for index in range(0, len(pixels), 3)
        if pixels[index] > 150 and pixels[index + 1] < 110 and pixels[index + 2] < 110  # noqa: PLR2004 - red
    )
    return red / (len(pixels) // 3)


def _run(command: list[str], home: str) -> str:
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=TIME_LIMIT,
        check=False,
        env={**os.environ, "HOME": home, "LANG": "C.UTF-8"},  # not the NSS database of the user
    )
    return done.stdout + done.stderr
