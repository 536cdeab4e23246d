"""预览: a sealed roster as pictures, one for each page, with the seal drawn on it."""

from __future__ import annotations

import io
import threading

import pypdfium2  # type: ignore[import-untyped]

from ukey_harness.world.portal.refusals import PortalRefusal

_SCALE = 110 / 72
"""Pictures at 110 dots an inch: an A4 page across is 1286 points wide."""

# PDFium may be called by one thread at a time, in the whole process.
_drawing = threading.Lock()


def page_count(pdf: bytes) -> int:
    """Return how many pages a PDF has."""
    with _drawing:
        document = pypdfium2.PdfDocument(pdf)
        try:
            return len(document)
        finally:
            document.close()


def draw_page(pdf: bytes, number: int) -> bytes:
    """Return page `number` (the first is 1) as PNG; raises not_found if there is none."""
    with _drawing:
        document = pypdfium2.PdfDocument(pdf)
        try:
            # Seals are form fields: without the form environment they are not drawn, and it
            # must be there before the first page is opened.
            document.init_forms()
            if not 1 <= number <= len(document):
                raise PortalRefusal("not_found", "没有这一页。")
            picture = document[number - 1].render(scale=_SCALE, may_draw_forms=True).to_pil()
        finally:
            document.close()
    png = io.BytesIO()
    picture.save(png, format="PNG")
    return png.getvalue()
