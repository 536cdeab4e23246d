"""The authority's counter at a PIV card: what a card keeps in other places than a PKCS#11 token.

The seal lies in the object of the face, the authority's certificates in `msroots`; pair and
certificate are those that the counter has made. It works through PC/SC, with the client's own
commands, and with the management key that the client would find.
"""

import io
from collections.abc import Sequence
from typing import Final

from cryptography import x509
from PIL import Image

from ukey_client.token.piv import management, objects
from ukey_client.token.piv.card import PivCard
from ukey_client.token.piv.pcsc import Readers
from ukey_client.token.piv.slots import FACIAL_IMAGE, ROOTS
from ukey_harness.world.seal import SealError, draw_seal
from ukey_harness.world.units import Unit

_LARGEST_PICTURE: Final = 12_704  # bytes of an image on a PIV card, SP 800-73-4 Part 1 table 13
_SIDES: Final = (360, 300, 240, 180)  # pixels: for 42 mm at 218 dpi, and less
_COLOURS: Final = 32
_PART: Final = 3_000  # bytes of a part of `msroots`; cards take about 3,050


def put_on_card(reader: str, pin: str, unit: Unit, authorities: Sequence[x509.Certificate]) -> None:
    """Write a unit's seal and the authorities onto the card in a reader.

    HolderError if the card or its management key does not let it be done, SealError if the seal
    is too large for it.
    """
    readers = Readers()
    try:
        line = readers.connect(reader)
    finally:
        readers.close()
    card = PivCard(line)
    try:
        with card.transaction():
            card.settle()
            card.verify(pin.encode())
            management.prove(card, pin)
            picture = small_picture(draw_seal(unit.name, unit.number))
            card.put_data(FACIAL_IMAGE, objects.write_seal(picture))
            parts = objects.write_roots(list(authorities), _PART)
            for tag, part in zip(ROOTS, parts, strict=False):
                card.put_data(tag, part)
            card.forget_pin()
    finally:
        line.close()


def small_picture(png: bytes) -> bytes:
    """Make a seal's picture small enough for a card, its ground still transparent."""
    for side in _SIDES:
        with Image.open(io.BytesIO(png)) as picture:
            small = picture.resize((side, side), Image.Resampling.LANCZOS)
        small = small.quantize(_COLOURS, method=Image.Quantize.FASTOCTREE)
        written = io.BytesIO()
        small.save(written, "PNG", optimize=True)
        if len(written.getvalue()) <= _LARGEST_PICTURE:
            return written.getvalue()
    raise SealError(f"the seal's picture does not fit into {_LARGEST_PICTURE} bytes")
