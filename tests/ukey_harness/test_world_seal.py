"""The seal's picture: ring, name, star and number where they belong, in red on nothing."""

import io
import math
from pathlib import Path

import pytest
from PIL import Image

from ukey_harness.world import Unit, seal
from ukey_harness.world.seal import SealError, draw_seal

NAME, NUMBER = "示例市青禾机械制造有限公司", "9900000001"


def picture(name: str = NAME, number: str = NUMBER) -> Image.Image:
    found = Image.open(io.BytesIO(draw_seal(name, number)))
    found.load()
    return found


def ink(image: Image.Image, radius: float, first: float, last: float) -> float:
    """Return how much of an arc is inked; degrees clockwise from the top, radius of 0 to 0.5."""
    alpha = image.getchannel("A")
    side = image.width
    steps = 400
    total = 0
    for step in range(steps):
        angle = math.radians(first + (last - first) * step / steps)
        x = side / 2 + radius * side * math.sin(angle)
        y = side / 2 - radius * side * math.cos(angle)
        value = alpha.getpixel((round(x), round(y)))
        assert isinstance(value, int)
        total += value
    return total / steps / 255


def test_it_is_a_red_png_on_transparent_ground() -> None:
    image = picture()
    assert (image.format, image.mode, image.size) == ("PNG", "RGBA", (600, 600))
    colours = {pixel[:3] for _, pixel in image.getcolors(1 << 20) or [] if pixel[3]}  # type: ignore[index]
    assert colours == {(0xD7, 0x00, 0x0F)}
    for corner in ((0, 0), (599, 0), (0, 599), (599, 599)):
        assert image.getpixel(corner)[3] == 0  # type: ignore[index]
    assert len(draw_seal(NAME, NUMBER)) < 64 * 1024


def test_ring_star_name_purpose_and_number_stand_where_they_belong() -> None:
    image = picture()
    assert ink(image, 0.477, 0, 360) == 1  # the ring is whole
    assert ink(image, 0.455, 0, 360) == 0  # and stands free
    assert ink(image, 0.0, 0, 360) == 1  # the star in the middle
    assert ink(image, 0.145, -0.8, 0.8) > 0.99  # with a point upwards
    assert ink(image, 0.145, 33, 39) == 0  # and gaps between the points
    assert 0.2 < ink(image, 0.385, -120, 120) < 0.8  # the name on the upper arc
    assert ink(image, 0.385, 150, 210) == 0  # but not on the lower one
    assert ink(image, 0.427, 155, 205) > 0.1  # where the number is
    assert ink(image, 0.427, 135, 148) == 0
    assert ink(image, 0.223, 170, 190) > 0.1  # the purpose under the star


def test_name_and_number_make_the_picture() -> None:
    assert draw_seal(NAME, NUMBER) == draw_seal(NAME, NUMBER)
    assert draw_seal(NAME, NUMBER) != draw_seal("示例市蓝桥机械制造有限公司", NUMBER)
    assert draw_seal(NAME, NUMBER) != draw_seal(NAME, "9900000002")


@pytest.mark.parametrize("length", [2, 6, 13, 20, 25, 30])
def test_names_of_all_lengths_stay_off_the_ring_the_star_and_the_number(length: int) -> None:
    image = picture("测" * length)
    assert ink(image, 0.453, 0, 360) == 0
    assert ink(image, 0.385, -100, 100) > 0.02
    assert ink(image, 0.29, 0, 130) == 0
    assert ink(image, 0.29, 230, 360) == 0
    assert ink(image, 0.385, 145, 215) == 0


def test_every_example_unit_has_a_seal() -> None:
    for n in (0, 63, 64, 999_999):
        unit = Unit.example(n)
        assert draw_seal(unit.name, unit.number)


@pytest.mark.parametrize(
    ("name", "number", "words"),
    [
        ("长" * 40, NUMBER, "too many"),
        (NAME, "1" * 20, "too many"),
        (" ", NUMBER, "needs a name"),
        (NAME, "", "needs a name"),
    ],
)
def test_what_does_not_fit_is_refused(name: str, number: str, words: str) -> None:
    with pytest.raises(SealError, match=words):
        draw_seal(name, number)


@pytest.fixture
def no_fonts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    monkeypatch.setattr(seal, "_FONT_FOLDER", tmp_path)
    seal.draw_seal.cache_clear()
    seal._font_file.cache_clear()
    return monkeypatch


def test_missing_font_names_the_debian_package(
    no_fonts: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # A fontconfig without any Chinese font answers with another one.
    answer = "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf\\n0\\nDejaVu Sans"
    program = tmp_path / "fc-match"
    program.write_text(f'#!/bin/sh\nprintf "{answer}"\n')
    program.chmod(0o755)
    no_fonts.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(SealError, match="fonts-noto-cjk"):
        draw_seal("缺字体公司", NUMBER)
    seal._font_file.cache_clear()


def test_without_fontconfig_the_known_place_is_tried(
    no_fonts: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    no_fonts.setenv("PATH", str(tmp_path))
    with pytest.raises(SealError, match="fonts-noto-cjk"):
        draw_seal("缺字体公司", NUMBER)
    no_fonts.setattr(seal, "_FONT_FOLDER", Path("/usr/share/fonts/opentype/noto"))
    seal._font_file.cache_clear()
    assert draw_seal("缺字体公司", NUMBER)
    seal._font_file.cache_clear()
