"""Documents for the holder to seal, good ones and bad ones."""

import io
from collections.abc import Callable

from pyhanko.pdf_utils.crypt import StandardSecurityHandler
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.pdf_utils.writer import copy_into_new_writer

A4 = (595, 842)  # points


def plain_pdf(title: str) -> bytes:
    """Return a PDF of one A4 page (ISO 32000-2 §7.5) with a line of text; title is its title."""
    content = b"BT /F1 18 Tf 72 760 Td (A document to be sealed) Tj ET"
    text = "FEFF" + title.encode("utf-16-be").hex().upper()
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 %d %d] /Contents 4 0 R "
        b"/Resources << /Font << /F1 5 0 R >> >> >>" % A4,
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        b"<< /Title <%s> >>" % text.encode(),
    ]
    out = io.BytesIO()
    out.write(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")
    offsets = []
    for number, body in enumerate(objects, 1):
        offsets.append(out.tell())
        out.write(b"%d 0 obj\n%s\nendobj\n" % (number, body))
    start = out.tell()
    out.write(b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1))
    for offset in offsets:
        out.write(b"%010d 00000 n \n" % offset)
    out.write(
        b"trailer\n<< /Size %d /Root 1 0 R /Info 6 0 R >>\nstartxref\n%d\n%%%%EOF\n"
        % (len(objects) + 1, start)
    )
    return out.getvalue()


def encrypted_pdf() -> bytes:
    """Return a PDF that only opens with a password (ISO 32000-2 §7.6)."""
    writer = copy_into_new_writer(PdfFileReader(io.BytesIO(plain_pdf("有密码的文件"))))
    password = "not to be known"  # noqa: S105 - of a made-up document
    handler = StandardSecurityHandler.build_from_pw(password, password)
    writer._assign_security_handler(handler)  # noqa: SLF001 - pyHanko has no public way for a copy
    out = io.BytesIO()
    writer.write(out)  # type: ignore[no-untyped-call]
    return out.getvalue()


BAD_DOCUMENTS: dict[str, Callable[[], bytes]] = {
    "一段文字": "这是一段文字，不是 PDF。\n".encode,
    "空文件": bytes,
    "截去一半的 PDF": lambda: plain_pdf("截断的文件")[:300],
    "有密码的 PDF": encrypted_pdf,
}
