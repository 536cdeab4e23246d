"""How objects come to be: brought in, copied, generated, unwrapped, derived; none is kept yet."""

from ukey_emulator.terms import CKA, CKK, CKO, CKR

from . import keys, mechanisms
from .keys import private
from .mechanisms import Parameter
from .objects import Object, Origin, Template, amended, build
from .objects.kinds import FALSE, TRUE, as_number, boolean, number, unpack_template
from .objects.templates import collect
from .refusal import Refusal


def create(template: Template, *, as_so: bool = False) -> Object:
    """Make an object from what a program brings (PKCS#11 3.2 §5.7.1)."""
    obj = build(template, Origin.CREATED, as_so=as_so)
    keys.complete(obj)
    return obj


def copy(obj: Object, template: Template, *, as_so: bool = False) -> Object:
    """Make a copy with changes (PKCS#11 3.2 §5.7.2)."""
    if not obj.flag(CKA.COPYABLE):
        raise Refusal(CKR.ACTION_PROHIBITED, "CKA_COPYABLE is false")
    twin = obj.twin()
    twin.attributes = amended(twin, template, copying=True, as_so=as_so)
    return twin


def generate(kind: int, parameter: Parameter, template: Template, *, as_so: bool = False) -> Object:
    """Make a secret key (PKCS#11 3.2 §5.18.1)."""
    mechanism = mechanisms.find(kind)
    given: dict[int, bytes] = {
        CKA.CLASS: number(CKO.SECRET_KEY),
        CKA.KEY_TYPE: number(mechanism.key_types[0]),
    }
    obj = build(template, Origin.GENERATED, given, mechanism=kind, as_so=as_so)
    obj.attributes.update(mechanism.generate(obj.attributes, parameter))
    keys.complete(obj)
    return obj


def generate_pair(
    kind: int, parameter: Parameter, public: Template, private_: Template, *, as_so: bool = False
) -> tuple[Object, Object]:
    """Make a key pair, public key first (PKCS#11 3.2 §5.18.2)."""
    mechanism = mechanisms.find(kind)
    key_type = number(mechanism.key_types[0])
    halves = []
    for template, side in ((public, CKO.PUBLIC_KEY), (private_, CKO.PRIVATE_KEY)):
        given: dict[int, bytes] = {CKA.CLASS: number(side), CKA.KEY_TYPE: key_type}
        halves.append(build(template, Origin.GENERATED, given, mechanism=kind, as_so=as_so))
    seen, hidden = halves
    seen_part, hidden_part, material = mechanism.generate_pair(seen.attributes, parameter)
    seen.attributes.update(seen_part)
    keys.complete(seen)
    hidden.attributes.update(hidden_part)
    hidden.attributes[CKA.PUBLIC_KEY_INFO] = seen.attributes[CKA.PUBLIC_KEY_INFO]
    hidden.material = material
    return seen, hidden


def to_wrap(key: Object, wrapping: Object) -> bytes:
    """Give what leaves the key under a wrapping key, if it may (PKCS#11 3.2 §5.18.3).

    A secret key's value, a private key's PKCS#8 structure. CKR_KEY_UNEXTRACTABLE,
    CKR_KEY_NOT_WRAPPABLE where it wants a trusted wrapping key, CKR_KEY_HANDLE_INVALID where it
    does not match CKA_WRAP_TEMPLATE.
    """
    if not key.flag(CKA.EXTRACTABLE):
        raise Refusal(CKR.KEY_UNEXTRACTABLE)
    if key.flag(CKA.WRAP_WITH_TRUSTED) and not wrapping.flag(CKA.TRUSTED):
        raise Refusal(CKR.KEY_NOT_WRAPPABLE, "the key wants a trusted wrapping key")
    wanted = unpack_template(wrapping.attributes.get(CKA.WRAP_TEMPLATE, b""))
    if any(key.attributes.get(attribute) != value for attribute, value in wanted):
        raise Refusal(CKR.KEY_HANDLE_INVALID, "the key does not match CKA_WRAP_TEMPLATE")
    material = keys.load(key)
    return material if isinstance(material, bytes) else private.encode(material)


def unwrap(clear: bytes, unwrapping: Object, template: Template, *, as_so: bool = False) -> Object:
    """Make a key from what was unwrapped (PKCS#11 3.2 §5.18.4).

    CKR_TEMPLATE_INCONSISTENT where the template contradicts CKA_UNWRAP_TEMPLATE;
    CKR_WRAPPED_KEY_INVALID or CKR_WRAPPED_KEY_LEN_RANGE where the bytes are no such key.
    """
    forced = unpack_template(unwrapping.attributes.get(CKA.UNWRAP_TEMPLATE, b""))
    wanted = _forced(collect(template), forced)
    wanted.setdefault(CKA.EXTRACTABLE, TRUE)
    if as_number(wanted.get(CKA.CLASS, number(0))) == CKO.PRIVATE_KEY:
        given = _private_part(wanted, clear)
    else:
        given = {CKA.VALUE: clear}
    obj = build(wanted.items(), Origin.UNWRAPPED, given, as_so=as_so)
    try:
        keys.complete(obj)
    except Refusal as refusal:
        if refusal.code is not CKR.ATTRIBUTE_VALUE_INVALID:
            raise
        raise Refusal(CKR.WRAPPED_KEY_LEN_RANGE, refusal.why) from refusal
    return obj


def derive(
    kind: int, parameter: Parameter, base: Object, template: Template, *, as_so: bool = False
) -> Object:
    """Make a secret key from another key (PKCS#11 3.2 §5.18.5)."""
    forced = unpack_template(base.attributes.get(CKA.DERIVE_TEMPLATE, b""))
    wanted = _forced(collect(template), forced)
    wanted.setdefault(CKA.CLASS, number(CKO.SECRET_KEY))
    wanted.setdefault(CKA.KEY_TYPE, number(CKK.GENERIC_SECRET))
    length = as_number(wanted[CKA.VALUE_LEN]) if CKA.VALUE_LEN in wanted else None
    mechanism = mechanisms.find(kind)
    obj = build(wanted.items(), Origin.DERIVED, as_so=as_so)
    if obj.kind != CKO.SECRET_KEY:
        raise Refusal(CKR.TEMPLATE_INCONSISTENT, "only secret keys are derived")
    if length is None:
        length = keys.fixed_length(obj)
    obj.attributes[CKA.VALUE] = mechanism.derive(keys.load(base), parameter, length)
    keys.complete(obj)
    for history, now in ((CKA.ALWAYS_SENSITIVE, TRUE), (CKA.NEVER_EXTRACTABLE, FALSE)):
        present = CKA.SENSITIVE if history is CKA.ALWAYS_SENSITIVE else CKA.EXTRACTABLE
        kept = base.flag(history) and obj.attributes[present] == now
        obj.attributes[history] = boolean(kept)
    return obj


def _forced(wanted: dict[int, bytes], forced: list[tuple[int, bytes]]) -> dict[int, bytes]:
    for attribute, value in forced:
        if wanted.setdefault(attribute, value) != value:
            raise Refusal(
                CKR.TEMPLATE_INCONSISTENT, f"CKA_{CKA(attribute).name} is set by the other key"
            )
    return wanted


def _private_part(wanted: dict[int, bytes], clear: bytes) -> dict[int, bytes]:
    key_type, attributes = private.decode(clear)
    if wanted.get(CKA.KEY_TYPE, number(key_type)) != number(key_type):
        raise Refusal(CKR.TEMPLATE_INCONSISTENT, "the wrapped key is of another type")
    return {CKA.CLASS: number(CKO.PRIVATE_KEY), CKA.KEY_TYPE: number(key_type), **attributes}
