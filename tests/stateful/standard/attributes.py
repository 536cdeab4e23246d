"""Attributes by class and key type, and what a template may say (§4.1 to §4.10)."""

from typing import Any

from .state import KEY_CLASSES
from .values import Template, words

_STORAGE = {"CLASS", "TOKEN", "PRIVATE", "MODIFIABLE", "LABEL", "COPYABLE", "DESTROYABLE"}
_KEY = _STORAGE | {"KEY_TYPE", "ID", "DERIVE", "LOCAL"}
_GUARDED = {
    "SENSITIVE",
    "EXTRACTABLE",
    "ALWAYS_SENSITIVE",
    "NEVER_EXTRACTABLE",
    "WRAP_WITH_TRUSTED",
}
_PUBLIC = _KEY | {"SUBJECT", "ENCRYPT", "VERIFY", "VERIFY_RECOVER", "WRAP", "TRUSTED"}
_PRIVATE = {"SUBJECT", "DECRYPT", "SIGN", "SIGN_RECOVER", "UNWRAP", "ALWAYS_AUTHENTICATE"}
_SECRET = {"ENCRYPT", "DECRYPT", "SIGN", "VERIFY", "WRAP", "UNWRAP", "TRUSTED", "VALUE"}

BELONGS: dict[tuple[str, str | None], set[str]] = {
    ("DATA", None): _STORAGE | {"APPLICATION", "VALUE"},
    ("PROFILE", None): _STORAGE | {"PROFILE_ID"},
    ("CERTIFICATE", None): _STORAGE
    | {"CERTIFICATE_TYPE", "SUBJECT", "ID", "ISSUER", "SERIAL_NUMBER", "VALUE", "TRUSTED"},
    ("PUBLIC_KEY", "RSA"): _PUBLIC | {"MODULUS", "MODULUS_BITS", "PUBLIC_EXPONENT"},
    ("PUBLIC_KEY", "EC"): _PUBLIC | {"EC_PARAMS", "EC_POINT"},
    ("PRIVATE_KEY", "RSA"): _KEY
    | _GUARDED
    | _PRIVATE
    | {"MODULUS", "PUBLIC_EXPONENT", "PRIVATE_EXPONENT", "PRIME_1", "PRIME_2"}
    | {"EXPONENT_1", "EXPONENT_2", "COEFFICIENT"},
    ("PRIVATE_KEY", "EC"): _KEY | _GUARDED | _PRIVATE | {"EC_PARAMS", "VALUE"},
    ("SECRET_KEY", "AES"): _KEY | _GUARDED | _SECRET | {"VALUE_LEN"},
    ("SECRET_KEY", "GENERIC_SECRET"): _KEY | _GUARDED | _SECRET | {"VALUE_LEN"},
}
WITHHELD = {("SECRET_KEY", "VALUE"), ("PRIVATE_KEY", "VALUE"), ("PRIVATE_KEY", "PRIVATE_EXPONENT")}
_READ_ONLY = {"LOCAL", "ALWAYS_SENSITIVE", "NEVER_EXTRACTABLE", "UNIQUE_ID"}
_TRUTHS = set().union(*BELONGS.values()) & {
    *(words("TOKEN PRIVATE MODIFIABLE COPYABLE DESTROYABLE SENSITIVE EXTRACTABLE ENCRYPT DECRYPT")),
    *(
        words(
            "SIGN VERIFY SIGN_RECOVER VERIFY_RECOVER WRAP UNWRAP DERIVE TRUSTED WRAP_WITH_TRUSTED"
        )
    ),
    "ALWAYS_AUTHENTICATE",
}
# How an object comes to be → what the template must have, and must not have (footnotes of §4).
_MUST = {
    "create": {
        ("DATA", None): set(),
        ("CERTIFICATE", None): {"CERTIFICATE_TYPE", "SUBJECT", "VALUE"},
        ("PUBLIC_KEY", "RSA"): {"MODULUS", "PUBLIC_EXPONENT"},
        ("PUBLIC_KEY", "EC"): {"EC_PARAMS", "EC_POINT"},
        ("PRIVATE_KEY", "RSA"): {"MODULUS", "PRIVATE_EXPONENT"},
        ("PRIVATE_KEY", "EC"): {"EC_PARAMS", "VALUE"},
        ("SECRET_KEY", "AES"): {"VALUE"},
        ("SECRET_KEY", "GENERIC_SECRET"): {"VALUE"},
    },
    "generate": {
        ("SECRET_KEY", "AES"): {"VALUE_LEN"},
        ("SECRET_KEY", "GENERIC_SECRET"): {"VALUE_LEN"},
        ("PUBLIC_KEY", "EC"): {"EC_PARAMS"},
    },
}
_MUST_NOT = {
    "create": {"VALUE_LEN", "MODULUS_BITS"},
    "generate": {"VALUE", "EC_POINT", "MODULUS", "PRIVATE_EXPONENT"},
    "unwrap": {"VALUE"},
    "derive": {"VALUE"},
}
# Changed by C_SetAttributeValue (footnote 8), and the value that cannot be left (11, 12).
MODIFIABLE = {"LABEL", "ID", "APPLICATION", "SUBJECT", "DERIVE", "SENSITIVE", "EXTRACTABLE"} | {
    *(words("ENCRYPT DECRYPT SIGN VERIFY SIGN_RECOVER VERIFY_RECOVER WRAP UNWRAP")),
    *(words("WRAP_WITH_TRUSTED TRUSTED COPYABLE")),
}
STAYS = {"SENSITIVE": True, "WRAP_WITH_TRUSTED": True, "EXTRACTABLE": False, "COPYABLE": False}
NOT_SET_BY_PROGRAMS = {"ATTRIBUTE_READ_ONLY", "ATTRIBUTE_TYPE_INVALID", "TEMPLATE_INCONSISTENT"}
TRUSTED_FAULTS = {
    *(words("ATTRIBUTE_READ_ONLY ATTRIBUTE_VALUE_INVALID TEMPLATE_INCONSISTENT USER_NOT_LOGGED_IN"))
}


def belongs(values: dict[str, Any]) -> set[str] | None:
    """Return the attributes of an object of that class and type, None if there is no such kind."""
    kind, key_type = values.get("CLASS"), values.get("KEY_TYPE")
    return BELONGS.get((str(kind), key_type if kind in KEY_CLASSES else None))


def value_faults(template: Template) -> set[str]:
    """Tell what is wrong with a template by itself (§4.1.1).

    An attribute that does not exist, a value of the wrong form, two values for one attribute.
    """
    faults = set()
    seen: dict[str, Any] = {}
    for name, value in template.pairs:
        if name == "BOGUS":
            faults.add("ATTRIBUTE_TYPE_INVALID")
        if name in _TRUTHS and not isinstance(value, bool):
            faults.add("ATTRIBUTE_VALUE_INVALID")
        if seen.setdefault(name, value) != value:
            faults.add("TEMPLATE_INCONSISTENT")
    return faults


def making_faults(template: Template, origin: str, given: dict[str, Any], *, so: bool) -> set[str]:
    """Tell what is wrong with a template for a new object (§4.1.1, footnotes 1 to 6).

    given: class and key type where the mechanism sets them; a template that says something else is
    inconsistent. Only the SO sets CKA_TRUSTED (footnote 10); CKA_ALWAYS_AUTHENTICATE needs
    CKA_PRIVATE (§4.9).
    """
    faults = value_faults(template)
    values = {**template.values, **given}
    if any(template.values.get(name, value) != value for name, value in given.items()):
        faults.add("TEMPLATE_INCONSISTENT")
    own = belongs(values)
    if own is None:
        # Without class or type nothing more can be said of the other attributes.
        return faults | {"TEMPLATE_INCOMPLETE"}
    kind = (values["CLASS"], values.get("KEY_TYPE") if "KEY_TYPE" in own else None)
    if not _MUST.get(origin, {}).get(kind, set()) <= set(values):
        faults.add("TEMPLATE_INCOMPLETE")
    for name in template.values:
        if name != "BOGUS" and name not in own | _READ_ONLY:
            faults |= {"TEMPLATE_INCONSISTENT", "ATTRIBUTE_TYPE_INVALID"}
        if name in _READ_ONLY | _MUST_NOT[origin]:
            faults |= NOT_SET_BY_PROGRAMS
    if values.get("TRUSTED") is True and not so:
        faults |= TRUSTED_FAULTS
    if values.get("ALWAYS_AUTHENTICATE") is True and values.get("PRIVATE") is not True:
        faults.add("TEMPLATE_INCONSISTENT")
    return faults


def new_attributes(template: Template, given: dict[str, Any], *, local: bool) -> dict[str, Any]:
    """Return the attributes of a new object as far as the standard says them (§4.4, §4.10)."""
    defaults = {"TOKEN": False, "MODIFIABLE": True, "COPYABLE": True, "DESTROYABLE": True}
    values = {**defaults, **template.values, **given}
    if "KEY_TYPE" in values:
        values["LOCAL"] = local
    if "SENSITIVE" in values:
        values["ALWAYS_SENSITIVE"] = local and values["SENSITIVE"]
        values["NEVER_EXTRACTABLE"] = local and not values["EXTRACTABLE"]
    if values["CLASS"] == "SECRET_KEY" and "VALUE" in values:
        values["VALUE_LEN"] = len(values["VALUE"])
    return values
