"""Templates of objects that sequences make, and the ways to spoil one."""

from typing import Any

from hypothesis import strategies as st
from standard import material
from standard.values import Template

AES_VALUE = bytes(range(16))
OTHER_AES_VALUE = bytes(range(100, 132))
SECRET_VALUE = bytes(range(200, 232))

_GUARD = {"SENSITIVE": False, "EXTRACTABLE": True}
RECIPES: dict[str, dict[str, Any]] = {
    "data": {"CLASS": "DATA", "APPLICATION": b"stateful", "VALUE": b"a value"},
    "certificate": {
        "CLASS": "CERTIFICATE",
        "CERTIFICATE_TYPE": "X_509",
        "SUBJECT": material.SUBJECT,
        "VALUE": b"\x30\x03\x02\x01\x01",
        "ID": b"1",
    },
    "aes": {
        "CLASS": "SECRET_KEY",
        "KEY_TYPE": "AES",
        "VALUE": AES_VALUE,
        **_GUARD,
        **dict.fromkeys(("ENCRYPT", "DECRYPT", "WRAP", "UNWRAP"), True),
    },
    "aes256": {
        "CLASS": "SECRET_KEY",
        "KEY_TYPE": "AES",
        "VALUE": OTHER_AES_VALUE,
        **_GUARD,
        **dict.fromkeys(("ENCRYPT", "DECRYPT", "WRAP", "UNWRAP"), True),
    },
    "secret": {
        "CLASS": "SECRET_KEY",
        "KEY_TYPE": "GENERIC_SECRET",
        "VALUE": SECRET_VALUE,
        **_GUARD,
        **dict.fromkeys(("SIGN", "VERIFY"), True),
    },
    "rsa public": {
        "CLASS": "PUBLIC_KEY",
        "KEY_TYPE": "RSA",
        **material.RSA_PUBLIC,
        **dict.fromkeys(("ENCRYPT", "VERIFY", "VERIFY_RECOVER"), True),
    },
    "rsa private": {
        "CLASS": "PRIVATE_KEY",
        "KEY_TYPE": "RSA",
        **material.RSA_PRIVATE,
        **_GUARD,
        **dict.fromkeys(("DECRYPT", "SIGN", "SIGN_RECOVER"), True),
    },
    "ec public": {
        "CLASS": "PUBLIC_KEY",
        "KEY_TYPE": "EC",
        **material.EC_PUBLIC,
        "VERIFY": True,
    },
    "ec private": {
        "CLASS": "PRIVATE_KEY",
        "KEY_TYPE": "EC",
        **material.EC_PRIVATE,
        **_GUARD,
        **dict.fromkeys(("SIGN", "DERIVE"), True),
    },
}
_PRIVATE_KEYS = {"rsa private", "ec private"}
_FORBIDDEN = ("ENCRYPT", "DECRYPT", "SIGN", "VERIFY", "WRAP", "UNWRAP", "DERIVE")

# What is now and then wrong with a template.
SPOILS = (
    "bogus",
    "incomplete",
    "classless",
    "long truth",
    "twice",
    "foreign",
    "read only",
    "trusted",
)
_spoil = st.sampled_from([None] * 24 + list(SPOILS))
_rare = st.sampled_from([False, False, False, False, True])
_even = st.booleans()

# What an object is like beside its recipe.
FLAGS = st.fixed_dictionaries(
    {"TOKEN": _even, "PRIVATE": _even},
    optional={
        "MODIFIABLE": _even,
        "COPYABLE": _even,
        "DESTROYABLE": _even,
        "SENSITIVE": _even,
        "EXTRACTABLE": _even,
        "WRAP_WITH_TRUSTED": _rare,
        "ALWAYS_AUTHENTICATE": _even,
        "forbidden": _rare,
    },
)
RECIPE = st.sampled_from(sorted(RECIPES))
SPOIL = _spoil


def flags_for(kind: str, key_type: str | None, flags: dict[str, bool]) -> dict[str, bool]:
    """Return those flags that an object of the class has."""
    wanted = dict(flags)
    wanted.pop("forbidden", None)
    if kind not in {"PRIVATE_KEY", "SECRET_KEY"}:
        for name in ("SENSITIVE", "EXTRACTABLE", "WRAP_WITH_TRUSTED"):
            wanted.pop(name, None)
    if kind != "PRIVATE_KEY":
        wanted.pop("ALWAYS_AUTHENTICATE", None)
    del key_type
    return wanted


def template(recipe: str, label: bytes, flags: dict[str, bool], spoil: str | None) -> Template:
    """Make the template of a recipe; `forbidden` leaves it without any permission."""
    values = dict(RECIPES[recipe])
    if flags.get("forbidden"):
        values |= {name: False for name in _FORBIDDEN if name in values}
    values |= flags_for(values["CLASS"], values.get("KEY_TYPE"), flags)
    values["LABEL"] = label
    return spoilt(values, spoil)


def spoilt(values: dict[str, Any], spoil: str | None) -> Template:
    """Spoil a template in one way, or not."""
    pairs = list(values.items())
    match spoil:
        case "bogus":
            pairs.append(("BOGUS", b"1"))
        case "incomplete":
            needed = {"VALUE", "MODULUS", "EC_PARAMS", "SUBJECT", "VALUE_LEN"}
            pairs = [each for each in pairs if each[0] not in needed]
        case "classless":
            pairs = [each for each in pairs if each[0] != "CLASS"]
        case "long truth":
            pairs = [each for each in pairs if each[0] != "TOKEN"]
            pairs.append(("TOKEN", bytes(8)))
        case "twice":
            pairs.append(("LABEL", b"another"))
        case "foreign":
            own = "EC_PARAMS" if values.get("KEY_TYPE") != "EC" else "MODULUS"
            pairs.append((own, material.P256))
        case "read only":
            pairs.append(("LOCAL", True))
        case "trusted":
            pairs.append(("TRUSTED", True))
    return Template(tuple(pairs))


def secret_template(
    label: bytes, key_type: str, length: Any, flags: dict[str, bool]
) -> dict[str, Any]:
    """Return what a key that is generated, unwrapped or derived is to be like."""
    values: dict[str, Any] = {"LABEL": label, **_GUARD, "KEY_TYPE": key_type}
    if length is not None:
        values["VALUE_LEN"] = length
    permissions = (
        ("ENCRYPT", "DECRYPT", "WRAP", "UNWRAP") if key_type == "AES" else ("SIGN", "VERIFY")
    )
    values |= dict.fromkeys(permissions, not flags.get("forbidden"))
    return values | flags_for("SECRET_KEY", key_type, flags)
