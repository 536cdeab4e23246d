"""What a fresh key of a profile holds: objects as they are told, key pairs with certificates."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ukey_emulator.terms import CKA, CKC, CKH, CKK, CKM, CKO

from .table import ProfileError, Table, term

_TRUE, _FALSE = b"\x01", b"\x00"
_WORD = 8
# What numbers of these attributes are called.
TERMS: dict[int, type[CKO | CKK | CKC | CKM | CKH]] = {
    CKA.CLASS: CKO,
    CKA.KEY_TYPE: CKK,
    CKA.CERTIFICATE_TYPE: CKC,
    CKA.KEY_GEN_MECHANISM: CKM,
    CKA.HW_FEATURE_TYPE: CKH,
}
_MOST_YEARS = 30
KEYS = ("RSA-2048", "RSA-3072", "RSA-4096", "P-256", "P-384")
SIGN, ENCRYPT = "sign", "encrypt"


@dataclass(frozen=True, slots=True)
class Told:
    """An object by its attributes: all that it shall have if it is `exact`, else as a program says.

    As a program says it C_CreateObject adds what is missing.
    """

    attributes: tuple[tuple[int, bytes], ...]
    exact: bool


@dataclass(frozen=True, slots=True)
class Certified:
    """A key pair with a certificate of the small CA, by which both halves and it have their ID."""

    label: str
    ident: bytes
    key: str
    purpose: str
    subject: str
    years: int


Content = Told | Certified


def content_of(whole: Table, folder: Path) -> tuple[Content, ...]:
    """Read the objects of a profile; files are named as they are seen from its folder."""
    told = [_told(table, folder) for table in whole.tables("object")]
    return (*told, *(_certified(table) for table in whole.tables("certificate")))


def _certified(table: Table) -> Certified:
    if "subject" not in table:
        raise table.refuse("subject", "is missing")
    pair = Certified(
        table.text("label"),
        _bytes(table, table.text("id")),
        table.one_of("key", KEYS[0], KEYS),
        table.one_of("purpose", SIGN, (SIGN, ENCRYPT)),
        table.text("subject"),
        table.number("years", 10, 1, _MOST_YEARS),
    )
    table.done()
    return pair


def _told(table: Table, folder: Path) -> Told:
    exact = table.flag("exact", default=False)
    attributes: dict[int, bytes] = {}
    for name, value in table.members().items():
        if name != "exact":
            attribute = attribute_of(name)
            attributes[attribute] = _value(table, attribute, value, folder)
    if CKA.CLASS not in attributes:
        raise table.refuse("CKA_CLASS", "is missing")
    attributes[CKA.TOKEN] = _TRUE
    return Told(tuple(attributes.items()), exact)


def attribute_of(name: str) -> int:
    """Give the attribute of that name, or one of a vendor that has none: `0x80000001`."""
    if name.startswith("0x"):
        try:
            return int(name, 16)
        except ValueError:
            raise ProfileError(f"{name!r} is no number like 0x80000001") from None
    return term(CKA, name, "attribute")


def _value(table: Table, attribute: int, value: Any, folder: Path) -> bytes:  # noqa: ANN401, PLR0911
    """Give the bytes of a value: what TOML says, as the standard would have it."""
    match value:
        case bool():
            return _TRUE if value else _FALSE
        case int() if 0 <= value < 1 << 8 * _WORD:
            return value.to_bytes(_WORD, "little")
        case str() if attribute in TERMS:
            return term(TERMS[attribute], value, "value").to_bytes(_WORD, "little")
        case str():
            return value.encode()
        case {"hex": str(digits)} if len(value) == 1:
            return _bytes(table, digits)
        case {"file": str(name)} if len(value) == 1:
            return _read(folder / name)
        case list() if all(isinstance(each, str) for each in value):
            kinds = [term(CKM, each, "mechanism") for each in value]
            return b"".join(kind.to_bytes(_WORD, "little") for kind in kinds)
    name = f"CKA_{CKA(attribute).name}" if attribute in set(CKA) else hex(attribute)
    raise table.refuse(
        name, 'is true, a number, a text, {hex = "…"}, {file = "…"}, or a list of mechanisms'
    )


def _bytes(table: Table, digits: str) -> bytes:
    try:
        return bytes.fromhex(digits)
    except ValueError:
        raise table.refuse(repr(digits), "is no string of hexadecimal digits") from None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ProfileError(f"{path}: {error.strerror}") from error
