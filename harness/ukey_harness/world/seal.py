"""The round red seal (电子印章) of a unit, as a picture.

The look is that of a company's seal: a ring, the name along the upper arc with the feet of its
characters towards the centre, a five-point star in the middle, the number along the lower arc.
Under the star, where a special seal names its purpose, ours says 测试专用章 (a seal for tests).
"""

from __future__ import annotations

import functools
import io
import math
import subprocess
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from ukey_harness.world.errors import WorldError

PURPOSE = "测试专用章"
SIDE = 600
"""Width and height of the picture in pixels."""

_RED = (0xD7, 0x00, 0x0F)
_SUPERSAMPLING = 3
_SHADES = [round(shade / 17) * 17 for shade in range(256)]
_FONT_TIME_LIMIT = 10.0
_FONT_PACKAGE = "fonts-noto-cjk"
_FONT_FOLDER = Path("/usr/share/fonts/opentype/noto")
_SIMPLIFIED_CHINESE = 2  # the place of "SC" in Noto's font collections

# Lengths are parts of the picture's side, angles degrees.
_RING_OUTER, _RING_WIDTH = 0.49, 0.026
_STAR_RADIUS = 0.155
_NAME_TOP, _NAME_HEIGHT = 0.444, 0.118
_NAME_WIDEST, _NAME_NARROWEST, _NAME_SLIMMEST = 0.105, 0.042, 0.55
_NAME_ARC, _NAME_PITCH = 262.0, 30.0
_PURPOSE_DROP, _PURPOSE_HEIGHT, _PURPOSE_WIDTH = 0.223, 0.07, 0.068
_NUMBER_RADIUS, _NUMBER_HEIGHT, _NUMBER_PITCH, _NUMBER_ARC = 0.427, 0.04, 5.2, 80.0
_INNER_ANGLE = 36.0


class SealError(WorldError):
    """A seal cannot be drawn: no font, or a name or number that does not fit on it."""


@functools.lru_cache(maxsize=64)
def draw_seal(name: str, number: str) -> bytes:
    """Return the seal with this name and number as PNG: 600 by 600, RGBA, transparent ground.

    SealError where the name (about 32 characters) or the number (16) does not fit, or the font
    is missing.
    """
    if not name.strip() or not number.strip():
        raise SealError("a seal needs a name and a number")
    plate = _Plate(SIDE * _SUPERSAMPLING)
    plate.ring()
    plate.star()
    plate.name(name)
    plate.line(PURPOSE)
    plate.number(number)
    # Sixteen shades of the edge are enough for the eye, and halve what the key has to hold.
    ink = plate.mask.resize((SIDE, SIDE), Image.Resampling.LANCZOS).point(_SHADES)
    picture = Image.new("RGBA", (SIDE, SIDE), (*_RED, 0))
    picture.putalpha(ink)
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    return file.getvalue()


class _Plate:
    """The seal's plate: a mask, white where there will be ink."""

    def __init__(self, side: int) -> None:
        self.side = side
        self.mask = Image.new("L", (side, side), 0)
        self._draw = ImageDraw.Draw(self.mask)
        self._centre = side / 2

    def ring(self) -> None:
        outer, width = _RING_OUTER * self.side, _RING_WIDTH * self.side
        c = self._centre
        box = (c - outer, c - outer, c + outer, c + outer)
        self._draw.ellipse(box, outline=255, width=round(width))

    def star(self) -> None:
        outer = _STAR_RADIUS * self.side
        # The points of a regular pentagram and the corners between them.
        inner = outer * math.sin(math.radians(18)) / math.sin(math.radians(54))
        points = []
        for corner in range(10):
            radius, angle = (inner if corner % 2 else outer), math.radians(corner * _INNER_ANGLE)
            points.append(
                (self._centre + radius * math.sin(angle), self._centre - radius * math.cos(angle))
            )
        self._draw.polygon(points, fill=255)

    def name(self, name: str) -> None:
        """Set the name clockwise along the upper arc, narrower the longer it is."""
        font = _font("Noto Serif CJK SC", _NAME_HEIGHT * self.side)
        ems = [font.getlength(sign) / font.size for sign in name]
        pitch = min(_NAME_PITCH, _NAME_ARC / sum(ems))
        # What one em has at the feet of the characters, where they are nearest to each other.
        foot = (_NAME_TOP - _NAME_HEIGHT * 0.92) * math.radians(pitch)
        width = min(_NAME_WIDEST, foot)
        height = min(_NAME_HEIGHT, width / _NAME_SLIMMEST)
        if width < _NAME_NARROWEST:
            raise SealError(f"the name {name} has {len(name)} characters: too many for a seal")
        angle = -pitch * sum(ems) / 2
        for sign, em in zip(name, ems, strict=True):
            tile = _tile(sign, font, em).resize(
                (round(width * em * self.side), round(height * self.side)),
                Image.Resampling.LANCZOS,
            )
            self._stamp(tile, angle + em * pitch / 2, _NAME_TOP - height / 2)
            angle += em * pitch

    def line(self, text: str) -> None:
        """Set a straight line under the star."""
        font = _font("Noto Serif CJK SC", _PURPOSE_HEIGHT * self.side)
        step, size = _PURPOSE_WIDTH * self.side, round(_PURPOSE_HEIGHT * self.side)
        left = self._centre - step * len(text) / 2
        top = self._centre + _PURPOSE_DROP * self.side - size / 2
        for place, sign in enumerate(text):
            tile = _tile(sign, font, 1.0).resize((round(step * 0.96), size))
            self.mask.paste(255, (round(left + place * step), round(top)), tile)

    def number(self, number: str) -> None:
        """Set the number along the lower arc, from left to right, its heads to the centre."""
        if _NUMBER_PITCH * len(number) > _NUMBER_ARC:
            raise SealError(f"the number {number} has {len(number)} characters: too many")
        font = _font("Noto Sans CJK SC", _NUMBER_HEIGHT * self.side)
        for place, sign in enumerate(number):
            angle = (place - (len(number) - 1) / 2) * _NUMBER_PITCH
            self._stamp(_tile(sign, font, 0.8), 180 - angle, _NUMBER_RADIUS, heads_in=True)

    def _stamp(
        self, tile: Image.Image, angle: float, radius: float, *, heads_in: bool = False
    ) -> None:
        """Put a character at `angle` (clockwise from the top) on the circle of `radius`."""
        turned = tile.rotate(
            -angle + (180 if heads_in else 0), Image.Resampling.BICUBIC, expand=True
        )
        x = self._centre + radius * self.side * math.sin(math.radians(angle))
        y = self._centre - radius * self.side * math.cos(math.radians(angle))
        corner = (round(x - turned.width / 2), round(y - turned.height / 2))
        self.mask.paste(255, corner, turned)


def _tile(sign: str, font: ImageFont.FreeTypeFont, em: float) -> Image.Image:
    """Return the mask of one character in a box of `em` by one em."""
    size = font.size
    tile = Image.new("L", (max(1, round(size * em)), round(size)), 0)
    # Ideographs fill their em box, which in Noto CJK lies from 0.12 em below the base line up.
    draw = ImageDraw.Draw(tile)
    draw.text((tile.width / 2, size * 0.88), sign, fill=255, font=font, anchor="ms")
    return tile


def _font(family: str, size: float) -> ImageFont.FreeTypeFont:
    path, index = _font_file(family)
    return ImageFont.truetype(str(path), round(size), index=index)


@functools.cache
def _font_file(family: str) -> tuple[Path, int]:
    """Return file and index of the bold face of a Noto CJK family; SealError if there is none."""
    query = ["fc-match", "--format=%{file}\n%{index}\n%{family}", f"{family}:bold"]
    try:
        answer = subprocess.run(
            query, capture_output=True, text=True, timeout=_FONT_TIME_LIMIT, check=True
        ).stdout.split("\n")
    except (OSError, subprocess.SubprocessError):
        answer = []
    # fontconfig answers with whatever it has, so that the family has to be looked at.
    if len(answer) == 3 and family in answer[2] and Path(answer[0]).is_file():  # noqa: PLR2004
        return Path(answer[0]), int(answer[1]) & 0xFFFF
    known = _FONT_FOLDER / f"{family.removesuffix(' SC').replace(' ', '')}-Bold.ttc"
    if known.is_file():
        return known, _SIMPLIFIED_CHINESE
    raise SealError(
        f"the font {family} is not installed, without which no seal can be drawn: "
        f"install the Debian package {_FONT_PACKAGE} (apt-get install {_FONT_PACKAGE})"
    )
