"""How a key comes to an operation: mechanism, handle, type and permission, in that order."""

from ukey_emulator.chip import Refusal, keys, mechanisms
from ukey_emulator.chip.keys import Material
from ukey_emulator.chip.mechanisms import Mechanism, Parameter
from ukey_emulator.chip.objects import Object
from ukey_emulator.chip.objects.kinds import ULONG
from ukey_emulator.terms import CKA, CKF, CKR

from . import wire
from .application import Application, Session
from .operations import Operation


def parameter_of(mechanism: wire.Mechanism) -> Parameter:
    """Take a mechanism's parameter off the wire; CKR_MECHANISM_PARAM_INVALID if it fits none."""
    parameter = mechanism.parameter
    if isinstance(parameter, wire.Misfit):
        raise Refusal(CKR.MECHANISM_PARAM_INVALID, f"a parameter of {parameter.length} bytes")
    if isinstance(parameter, wire.Parameter):
        return parameter.fields
    return parameter


def find(mechanism: wire.Mechanism, flag: CKF) -> Mechanism:
    """Find a mechanism that does what `flag` names, else CKR_MECHANISM_INVALID."""
    found = mechanisms.find(mechanism.type)
    if not found.flags & flag:
        raise Refusal(CKR.MECHANISM_INVALID, f"CKM_{found.kind.name} has no {flag.name}")
    return found


def key_for(
    app: Application, session: Session, mechanism: Mechanism, handle: int, permission: CKA
) -> tuple[Object, Material]:
    """Give a key that may be used so, loaded.

    CKR_KEY_HANDLE_INVALID, CKR_KEY_TYPE_INCONSISTENT, CKR_KEY_FUNCTION_NOT_PERMITTED, or
    CKR_MECHANISM_INVALID where CKA_ALLOWED_MECHANISMS leaves the mechanism out.
    """
    obj = app.object(session, handle, CKR.KEY_HANDLE_INVALID)
    if obj.key_type is None:
        raise Refusal(CKR.KEY_HANDLE_INVALID, "the object is no key")
    if obj.key_type not in mechanism.key_types:
        raise Refusal(CKR.KEY_TYPE_INCONSISTENT, f"not a key for CKM_{mechanism.kind.name}")
    if not obj.flag(permission):
        raise Refusal(CKR.KEY_FUNCTION_NOT_PERMITTED, f"CKA_{permission.name} is not true")
    allowed = obj.attributes.get(CKA.ALLOWED_MECHANISMS)
    if allowed and mechanism.kind not in {kind for (kind,) in ULONG.iter_unpack(allowed)}:
        raise Refusal(CKR.MECHANISM_INVALID, "CKA_ALLOWED_MECHANISMS leaves it out")
    return obj, keys.load(obj)


def operation_with(context: object, key: Object) -> Operation:
    """Make the operation; a key that asks for its PIN at each use is not authorised yet."""
    return Operation(context, key, authorised=not key.flag(CKA.ALWAYS_AUTHENTICATE))
