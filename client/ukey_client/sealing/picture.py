"""The seal's picture, from the key to the appearance of the signature."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from PIL import Image, ImageFile, UnidentifiedImageError
from pyhanko.pdf_utils import layout
from pyhanko.pdf_utils.images import PdfImage
from pyhanko.stamp import StaticStampStyle

from ukey_client.errors import SealPictureAbsent

_LARGEST: Final = 4096  # pixels on a side
_FORMATS: Final = ("PNG", "JPEG", "GIF", "BMP")


def load_picture(data: bytes | None) -> Image.Image:
    """Read the picture, with its transparency; SealPictureAbsent if it is none."""
    if data is None:
        raise SealPictureAbsent
    try:
        with _whole_pictures(), Image.open(io.BytesIO(data), formats=_FORMATS) as picture:
            if max(picture.size) > _LARGEST:
                raise SealPictureAbsent(damaged=True)
            return picture.convert("RGBA")
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        raise SealPictureAbsent(damaged=True) from error


@contextmanager
def _whole_pictures() -> Iterator[None]:
    """Refuse a picture that breaks off, also where another library lets such pictures pass.

    Pillow has one switch for the whole process, and weasyprint for one turns it.
    """
    before = ImageFile.LOAD_TRUNCATED_IMAGES
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    try:
        yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = before


def appearance(picture: Image.Image, turned: int) -> StaticStampStyle:
    """Fill the field with the picture, aspect kept, ground transparent, nothing else.

    On a page that is displayed turned clockwise the picture is turned back, to stand upright.
    """
    upright = picture.rotate(turned, expand=True)
    return StaticStampStyle(
        background=PdfImage(upright),
        background_opacity=1.0,
        border_width=0,
        background_layout=layout.SimpleBoxLayoutRule(
            x_align=layout.AxisAlignment.ALIGN_MID,
            y_align=layout.AxisAlignment.ALIGN_MID,
            inner_content_scaling=layout.InnerScaling.STRETCH_TO_FIT,
        ),
    )
