"""How objects come to be: brought in, copied, generated, unwrapped, derived; none is kept yet."""

from collections.abc import Callable

from ukey_emulator.terms import CKA, CKK, CKM, CKO, CKR

from . import inheritance, keys, mechanisms
from .keys import private, secret
from .mechanisms import Mechanism, Parameter
from .objects import Object, Origin, Template, amended, build
from .objects.kinds import FALSE, TRUE, UNAVAILABLE, as_number, number, unpack_template
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
    """Make a secret key or domain parameters (PKCS#11 3.2 §5.18.1)."""
    mechanism = mechanisms.find(kind)
    wanted = collect(template)
    given: dict[int, bytes] = {CKA.CLASS: number(mechanism.makes)}
    if len(mechanism.key_types) == 1:
        given[CKA.KEY_TYPE] = number(mechanism.key_types[0])
    elif CKA.KEY_TYPE in wanted and as_number(wanted[CKA.KEY_TYPE]) not in mechanism.key_types:
        raise Refusal(CKR.TEMPLATE_INCONSISTENT, "the mechanism makes no keys of this type")
    _forget_known_length({**wanted, **given}, wanted)
    obj = build(wanted.items(), Origin.GENERATED, given, mechanism=kind, as_so=as_so)
    obj.attributes.update(mechanism.generate(obj.attributes, parameter))
    keys.complete(obj)
    return obj


def _forget_known_length(described: dict[int, bytes], wanted: dict[int, bytes]) -> None:
    """Drop a length that says no more than the type of the key, which old programs send."""
    length = secret.fixed_length(as_number(described.get(CKA.KEY_TYPE, number(CKK.AES))))
    if length is not None and wanted.get(CKA.VALUE_LEN) == number(length):
        del wanted[CKA.VALUE_LEN]


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
    info = seen.attributes[CKA.PUBLIC_KEY_INFO]
    keys.require_own(hidden.attributes.get(CKA.PUBLIC_KEY_INFO), info)
    hidden.attributes[CKA.PUBLIC_KEY_INFO] = info
    hidden.material = material
    return seen, hidden


_GENERATORS = {
    CKK.RSA: CKM.RSA_PKCS_KEY_PAIR_GEN,
    CKK.EC: CKM.EC_KEY_PAIR_GEN,
    CKK.EC_EDWARDS: CKM.EC_EDWARDS_KEY_PAIR_GEN,
    CKK.EC_MONTGOMERY: CKM.EC_MONTGOMERY_KEY_PAIR_GEN,
}


def adopt(
    key: object, public: Template, private_: Template, *, generated: bool
) -> tuple[Object, Object]:
    """Make the objects of a loaded private key, public key first.

    A face has `generated` it on this key, or it was brought there.
    """
    key_type, part = private.describe(key)
    origin = Origin.GENERATED if generated else Origin.CREATED
    mechanism = _GENERATORS[CKK(key_type)] if generated else UNAVAILABLE
    kind: dict[int, bytes] = {CKA.KEY_TYPE: number(key_type)}
    given = {CKA.CLASS: number(CKO.PRIVATE_KEY), **kind, **part}
    hidden = build(private_, origin, given, mechanism=mechanism)
    keys.complete(hidden)
    given = {CKA.CLASS: number(CKO.PUBLIC_KEY), **kind, **keys.public_part(hidden)}
    seen = build(public, origin, given, mechanism=mechanism)
    keys.complete(seen)
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
    if not key.matches(dict(unpack_template(wrapping.attributes.get(CKA.WRAP_TEMPLATE, b"")))):
        raise Refusal(CKR.KEY_HANDLE_INVALID, "the key does not match CKA_WRAP_TEMPLATE")
    material = keys.load(key)
    return material if isinstance(material, bytes) else private.encode(material)


def unwrap(
    mechanism: Mechanism,
    clear: bytes,
    unwrapping: Object,
    template: Template,
    *,
    as_so: bool = False,
) -> Object:
    """Make a key from what a mechanism unwrapped (PKCS#11 3.2 §5.18.4).

    CKR_TEMPLATE_INCONSISTENT where the template contradicts CKA_UNWRAP_TEMPLATE;
    CKR_WRAPPED_KEY_INVALID or CKR_WRAPPED_KEY_LEN_RANGE where the bytes are no such key.
    """
    wanted = _under(unwrapping, CKA.UNWRAP_TEMPLATE, template)
    wanted.setdefault(CKA.EXTRACTABLE, TRUE)
    conflict = CKR.WRAPPED_KEY_LEN_RANGE
    if as_number(wanted.get(CKA.CLASS, number(0))) == CKO.PRIVATE_KEY:
        given = _private_part(wanted, private.cut(clear) if mechanism.fill > 1 else clear)
    elif mechanism.prefixed:
        given = {CKA.VALUE: _without_prefix(clear, _length(wanted, conflict))}
    else:
        given = {CKA.VALUE: _cut(clear, _length(wanted, conflict), mechanism.fill)}
    obj = build(wanted.items(), Origin.UNWRAPPED, given, as_so=as_so)
    try:
        keys.complete(obj)
    except Refusal as refusal:
        if refusal.code is not CKR.ATTRIBUTE_VALUE_INVALID:
            raise
        code = CKR.WRAPPED_KEY_INVALID if keys.fits(obj) else CKR.WRAPPED_KEY_LEN_RANGE
        raise Refusal(code, refusal.why) from refusal
    return obj


def derive(
    kind: int,
    parameter: Parameter,
    base: Object,
    others: tuple[Object, ...],
    template: Template,
    *,
    as_so: bool = False,
) -> Object:
    """Make a key, or what else the mechanism makes, from other keys (PKCS#11 3.2 §5.18.5)."""
    mechanism = mechanisms.find(kind)
    wanted = _under(base, CKA.DERIVE_TEMPLATE, template)
    if mechanism.makes == CKO.PUBLIC_KEY:
        return _public_of(base, wanted, as_so=as_so)
    parents = (base, *others)
    given: dict[int, bytes] = {CKA.CLASS: number(mechanism.makes)}
    if mechanism.makes == CKO.SECRET_KEY:
        wanted.setdefault(CKA.KEY_TYPE, number(CKK.GENERIC_SECRET))
        inheritance.before(mechanism.heir, parents, wanted)
    length = _length(wanted)
    obj = build(wanted.items(), Origin.DERIVED, given, as_so=as_so)
    loaded = tuple(map(keys.load, others))
    value = mechanism.derive_with(keys.load(base), loaded, parameter, length)
    _fill_in(obj, value)
    if mechanism.makes == CKO.SECRET_KEY:
        inheritance.after(mechanism.heir, parents, obj)
    return obj


_FROM_PRIVATE = {
    CKA.ENCRYPT: CKA.DECRYPT,
    CKA.VERIFY: CKA.SIGN,
    CKA.VERIFY_RECOVER: CKA.SIGN_RECOVER,
    CKA.WRAP: CKA.UNWRAP,
    CKA.DERIVE: CKA.DERIVE,
    CKA.ID: CKA.ID,
    CKA.START_DATE: CKA.START_DATE,
    CKA.END_DATE: CKA.END_DATE,
    CKA.SUBJECT: CKA.SUBJECT,
    CKA.ALLOWED_MECHANISMS: CKA.ALLOWED_MECHANISMS,
}


def _public_of(base: Object, wanted: dict[int, bytes], *, as_so: bool) -> Object:
    """Make the public key of a private one, which gives what the template does not (§6.43.8)."""
    if base.kind != CKO.PRIVATE_KEY or base.key_type is None:
        raise Refusal(CKR.KEY_TYPE_INCONSISTENT, "a private key is needed")
    for attribute, source in _FROM_PRIVATE.items():
        wanted.setdefault(attribute, base.attributes[source])
    wanted.setdefault(CKA.DESTROYABLE, FALSE)
    given: dict[int, bytes] = {
        CKA.CLASS: number(CKO.PUBLIC_KEY),
        CKA.KEY_TYPE: number(base.key_type),
        **keys.public_part(base),
    }
    obj = build(wanted.items(), Origin.DERIVED, given, as_so=as_so)
    keys.complete(obj)
    obj.attributes[CKA.KEY_GEN_MECHANISM] = base.attributes[CKA.KEY_GEN_MECHANISM]
    return obj


def from_secret(
    owner: Object,
    forced: CKA,
    template: Template,
    produce: Callable[[int | None], bytes],
    *,
    as_so: bool = False,
) -> Object:
    """Make a secret key of what comes out of an encapsulation (PKCS#11 3.2 §5.18.8, §5.18.9).

    `forced` is the attribute of the owner's key that holds a template; `produce` gives the value
    for the length that the template wants.
    """
    wanted = _under(owner, forced, template)
    wanted.setdefault(CKA.CLASS, number(CKO.SECRET_KEY))
    wanted.setdefault(CKA.KEY_TYPE, number(CKK.GENERIC_SECRET))
    wanted.setdefault(CKA.EXTRACTABLE, TRUE)
    length = _length(wanted)
    obj = build(wanted.items(), Origin.DERIVED, as_so=as_so)
    if obj.kind != CKO.SECRET_KEY:
        raise Refusal(CKR.TEMPLATE_INCONSISTENT, "only secret keys are encapsulated")
    _fill_in(obj, produce(length))
    return obj


def _fill_in(obj: Object, value: bytes) -> None:
    """Give a new object its value, with the parity that its type wants."""
    if obj.key_type in secret.DES_TYPES:
        value = secret.with_parity(value)
    obj.attributes[CKA.VALUE] = value
    keys.complete(obj)


def _under(parent: Object, forced: CKA, template: Template) -> dict[int, bytes]:
    """Read a template together with the one that the parent forces on its offspring."""
    return _forced(collect(template), unpack_template(parent.attributes.get(forced, b"")))


def _length(wanted: dict[int, bytes], conflict: CKR = CKR.TEMPLATE_INCONSISTENT) -> int | None:
    """Take the length out of a template, or know it from the type of the key.

    `conflict` is the code for a length that no key of the type has.
    """
    fixed = None
    if CKA.KEY_TYPE in wanted:
        fixed = secret.fixed_length(as_number(wanted[CKA.KEY_TYPE]))
    if CKA.VALUE_LEN not in wanted:
        return fixed
    length = as_number(wanted.pop(CKA.VALUE_LEN))
    if CKA.KEY_TYPE in wanted and not secret.fits(as_number(wanted[CKA.KEY_TYPE]), length):
        raise Refusal(conflict, f"no key of this type has {length} bytes")
    return length


def _without_prefix(clear: bytes, length: int | None) -> bytes:
    """Take off the zeros before a key, whose length only the template tells."""
    if length is None:
        raise Refusal(CKR.TEMPLATE_INCOMPLETE, "how long the key is cannot be seen")
    prefix = max(0, len(clear) - length)
    if length > len(clear) or any(clear[:prefix]):
        raise Refusal(CKR.WRAPPED_KEY_LEN_RANGE, f"not a key of {length} bytes")
    return clear[prefix:]


def _cut(clear: bytes, length: int | None, fill: int) -> bytes:
    """Take the zeros off that fill a wrapped key up, if its length is known."""
    if length is None:
        return clear
    if not len(clear) - fill < length <= len(clear):
        raise Refusal(CKR.WRAPPED_KEY_LEN_RANGE, f"{len(clear)} bytes are no key of {length}")
    return clear[:length]


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
