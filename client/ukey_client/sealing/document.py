"""A PDF before it is sealed: what it must be, and where on it the seal may stand."""

import io
from dataclasses import dataclass
from typing import Final

from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.misc import PdfError
from pyhanko.pdf_utils.reader import PdfFileReader

from ukey_client.errors import AlreadySealed, EncryptedPdf, NotAPdf, PlaceAbsent

POINTS_PER_MILLIMETRE: Final = 72 / 25.4
SEAL_DIAMETER: Final = 40 * POINTS_PER_MILLIMETRE
_MARGIN: Final = 20 * POINTS_PER_MILLIMETRE
_FIELD: Final = "Seal"
_HEADER_WITHIN: Final = 1024  # bytes, ISO 32000-2 annex I
_TRAILER_WITHIN: Final = 1024  # bytes, ISO 32000-2 annex I
_QUARTERS: Final = (0, 90, 180, 270)


@dataclass(frozen=True)
class Place:
    """Where the seal stands: page (0 first, negative from the end) and box.

    The box is left, bottom, right, top in points, seen from the lower left corner of the page
    as it is displayed. None is the default place: at the lower right, 40 mm wide.
    """

    page: int = -1
    box: tuple[float, float, float, float] | None = None


@dataclass(frozen=True)
class Spot:
    """A place on one document: page from 0, box in the page's own coordinates, its turning."""

    page: int
    box: tuple[float, float, float, float]
    turned: int


class Document:
    """A PDF that may be sealed; making one refuses every other."""

    def __init__(self, pdf: bytes) -> None:
        """Read it; NotAPdf, EncryptedPdf or AlreadySealed."""
        self.pdf = pdf
        if b"%PDF-" not in pdf[:_HEADER_WITHIN]:
            raise NotAPdf
        try:
            self._reader = PdfFileReader(io.BytesIO(pdf))
            encrypted = bool(self._reader.encrypted)
            self.pages = 0 if encrypted else int(self._reader.root["/Pages"]["/Count"])
            sealed = () if encrypted else _sealed_fields(self._reader)
            self._names = frozenset() if encrypted else _field_names(self._reader)
        except Exception as error:  # a broken PDF makes the reader fail in every way
            raise NotAPdf(_fault_of(pdf)) from error
        if encrypted:
            raise EncryptedPdf
        if self.pages < 1:
            raise NotAPdf("没有页面")
        if sealed:
            raise AlreadySealed(sealed)

    def writer(self) -> IncrementalPdfFileWriter:
        """Make a writer that adds to the document; NotAPdf if nothing can be added to it."""
        try:
            return IncrementalPdfFileWriter(io.BytesIO(self.pdf))
        except PdfError as error:
            raise NotAPdf(_fault_of(self.pdf)) from error

    def free_field_name(self) -> str:
        """`Seal1`, or the next that no field bears."""
        number = 1
        while f"{_FIELD}{number}" in self._names:
            number += 1
        return f"{_FIELD}{number}"

    def spot(self, place: Place) -> Spot:
        """Where on this document a place is; PlaceAbsent if it is not on it."""
        index = place.page if place.page >= 0 else self.pages + place.page
        if not 0 <= index < self.pages:
            raise PlaceAbsent(f"这个 PDF 只有 {self.pages} 页，没有第 {place.page + 1} 页。")
        left, bottom, right, top, turned = self._visible(index)
        wide, high = right - left, top - bottom
        if turned in {90, 270}:
            wide, high = high, wide
        box = place.box or _default_box(wide, high)
        x1, y1, x2, y2 = box
        if not (0 <= x1 < x2 <= wide and 0 <= y1 < y2 <= high):
            raise PlaceAbsent(
                f"印章位置超出页面。这一页宽 {wide:.0f} 点、高 {high:.0f} 点，"
                "请按 左，下，右，上 的顺序给出位置。"
            )
        a, b = _turn_back(x1, y1, turned, wide, high), _turn_back(x2, y2, turned, wide, high)
        return Spot(
            page=index,
            box=(
                left + min(a[0], b[0]),
                bottom + min(a[1], b[1]),
                left + max(a[0], b[0]),
                bottom + max(a[1], b[1]),
            ),
            turned=turned,
        )

    def _visible(self, index: int) -> tuple[float, float, float, float, int]:
        """Crop box of a page, and by how many degrees it is displayed turned (clockwise)."""
        try:
            page = self._page(index)
            media = _rectangle(_inherited(page, "/MediaBox"))
            crop_box = _inherited(page, "/CropBox")
            crop = _rectangle(crop_box) if crop_box is not None else media
            turned = int(str(_inherited(page, "/Rotate") or 0)) % 360
        except (PdfError, TypeError, ValueError, KeyError, IndexError, AttributeError) as error:
            raise NotAPdf(f"第 {index + 1} 页已损坏") from error
        if turned not in _QUARTERS:
            raise NotAPdf(f"第 {index + 1} 页的旋转角度无效")
        shown = (
            max(crop[0], media[0]),
            max(crop[1], media[1]),
            min(crop[2], media[2]),
            min(crop[3], media[3]),
        )
        return (*shown, turned)

    def _page(self, index: int) -> generic.DictionaryObject:
        reference = self._reader.find_page_for_modification(index)[0]  # type: ignore[no-untyped-call]
        page = reference.get_object()
        if not isinstance(page, generic.DictionaryObject):
            raise TypeError("page")
        return page


def _fault_of(pdf: bytes) -> str:
    """Say in the holder's words why the reader gave up: pyHanko says it to developers."""
    if b"%%EOF" not in pdf[-_TRAILER_WITHIN:]:
        return "文件不完整，缺少结尾，可能没有下载完"
    return "文件结构已损坏"


def _default_box(wide: float, high: float) -> tuple[float, float, float, float]:
    size = min(SEAL_DIAMETER, wide / 2, high / 2)
    margin = min(_MARGIN, (wide - size) / 2, (high - size) / 2)
    return wide - margin - size, margin, wide - margin, margin + size


def _turn_back(x: float, y: float, turned: int, wide: float, high: float) -> tuple[float, float]:
    """From the displayed page (wide, high) to the page as it is written."""
    return {0: (x, y), 90: (high - y, x), 180: (wide - x, high - y), 270: (y, wide - x)}[turned]


def _inherited(page: generic.DictionaryObject, name: str) -> generic.PdfObject | None:
    """Read an attribute that a page may have from its ancestors (ISO 32000-2 §7.7.3.4)."""
    node: generic.DictionaryObject | None = page
    for _ in range(64):
        if node is None:
            return None
        value = _entry(node, name)
        if value is not None:
            return value
        parent = _entry(node, "/Parent")
        node = parent if isinstance(parent, generic.DictionaryObject) else None
    return None


def _rectangle(value: generic.PdfObject | None) -> tuple[float, float, float, float]:
    if not isinstance(value, generic.ArrayObject) or len(value) != 4:  # noqa: PLR2004 - corners
        raise ValueError("rectangle")
    x1, y1, x2, y2 = (float(one) for one in value)
    return min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)


def _sealed_fields(reader: PdfFileReader) -> tuple[str, ...]:
    return tuple(str(one.field_name) for one in reader.embedded_signatures)


def _field_names(reader: PdfFileReader) -> frozenset[str]:
    form = _entry(reader.root, "/AcroForm")
    fields = _entry(form, "/Fields") if isinstance(form, generic.DictionaryObject) else None
    if not isinstance(fields, generic.ArrayObject):
        return frozenset()
    return frozenset(str(_entry(field.get_object(), "/T")) for field in fields)


def _entry(node: generic.DictionaryObject, name: str) -> generic.PdfObject | None:
    """Read an entry; unlike pyHanko's get(), its [] follows references."""
    try:
        value: generic.PdfObject = node[name]
    except KeyError:
        return None
    return value
