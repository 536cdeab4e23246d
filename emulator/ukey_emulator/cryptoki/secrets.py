"""Which values of a template are keys: secrets.def, that the recording module reads too."""

import re
from collections.abc import Sequence
from pathlib import Path

from ukey_emulator.terms import CKA, CKO

from .wire_shapes import Attribute

SECRETS: frozenset[int] = frozenset(
    int(number, 16)
    for number in re.findall(
        r"^SECRET_ATTRIBUTE\((0x[0-9A-F]+), ",
        (Path(__file__).parent / "secrets.def").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
)
"""The attributes that are a key or a part of one."""

_PUBLIC = frozenset({CKO.DATA, CKO.CERTIFICATE, CKO.PUBLIC_KEY})


def is_public(template: Sequence[Attribute]) -> bool:
    """Tell whether a template says that it is of an object whose value is no secret."""
    for attribute in template:
        if attribute.type == CKA.CLASS and isinstance(attribute.value, bytes):
            return int.from_bytes(attribute.value, "little") in _PUBLIC
    return False
