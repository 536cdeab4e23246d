"""How a key comes to an operation: mechanism, handle, type and permission, in that order."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from ukey_emulator.chip import Refusal, Role, keys
from ukey_emulator.chip.keys import Material
from ukey_emulator.chip.keys.size import size_of
from ukey_emulator.chip.mechanisms import Mechanism, Parameter
from ukey_emulator.chip.objects import Object
from ukey_emulator.chip.objects.kinds import ULONG
from ukey_emulator.terms import CKA, CKF, CKR

from . import wire
from .application import Application
from .operations import Operation
from .session import Session


def parameter_of(mechanism: wire.Mechanism) -> Parameter:
    """Take a mechanism's parameter off the wire; CKR_MECHANISM_PARAM_INVALID if it fits none."""
    parameter = mechanism.parameter
    if isinstance(parameter, wire.Misfit):
        raise Refusal(CKR.MECHANISM_PARAM_INVALID, f"a parameter of {parameter.length} bytes")
    if isinstance(parameter, wire.Parameter):
        return parameter.fields
    return parameter


def find(session: Session, mechanism: wire.Mechanism, flag: CKF) -> Mechanism:
    """Find a mechanism of the key that does what `flag` names, else CKR_MECHANISM_INVALID."""
    found = session.chip.mechanism(mechanism.type)
    if not found.flags & flag:
        raise Refusal(CKR.MECHANISM_INVALID, f"CKM_{found.kind.name} has no {flag.name}")
    return found


@dataclass(frozen=True, slots=True)
class KeyFaults:
    """What a handle that is no key, a key of the wrong type, one of the wrong size are called."""

    handle: CKR = CKR.KEY_HANDLE_INVALID
    key_type: CKR = CKR.KEY_TYPE_INCONSISTENT
    size: CKR = CKR.KEY_SIZE_RANGE


_USUAL = KeyFaults()


def key_for(
    app: Application,
    session: Session,
    mechanism: Mechanism,
    handle: int,
    permission: CKA,
    faults: KeyFaults = _USUAL,
) -> tuple[Object, Material]:
    """Give a key that may be used so, loaded.

    The codes of `faults`, CKR_KEY_FUNCTION_NOT_PERMITTED, or
    CKR_MECHANISM_INVALID where CKA_ALLOWED_MECHANISMS leaves the mechanism out.
    """
    obj = app.object(session, handle, faults.handle)
    if obj.key_type is None:
        raise Refusal(faults.handle, "the object is no key")
    if obj.key_type not in mechanism.key_types:
        raise Refusal(faults.key_type, f"not a key for CKM_{mechanism.kind.name}")
    if not obj.flag(permission):
        raise Refusal(CKR.KEY_FUNCTION_NOT_PERMITTED, f"CKA_{permission.name} is not true")
    allowed = obj.attributes.get(CKA.ALLOWED_MECHANISMS)
    if allowed and mechanism.kind not in {kind for (kind,) in ULONG.iter_unpack(allowed)}:
        raise Refusal(CKR.MECHANISM_INVALID, "CKA_ALLOWED_MECHANISMS leaves it out")
    if mechanism.limited:
        require_size(mechanism, obj.attributes, faults.size)
    return obj, keys.load(obj)


def require_size(mechanism: Mechanism, attributes: Mapping[int, bytes | None], code: CKR) -> None:
    """Refuse a key that is smaller or larger than the profile says that the mechanism takes."""
    least, most = mechanism.sizes
    size = size_of(attributes)
    if size is not None and most and not least <= size <= most:
        raise Refusal(code, f"CKM_{mechanism.kind.name} is for {least} to {most}, not {size}")


@dataclass(frozen=True, slots=True)
class Use:
    """One use of a key: its name, the mechanism's flag and the key's permission for it."""

    name: str
    flag: CKF
    permission: CKA
    begin: Callable[[Mechanism, Material, Parameter], object]


SIGN = Use(
    "sign", CKF.SIGN, CKA.SIGN, lambda mechanism, key, parameter: mechanism.sign(key, parameter)
)
VERIFY = Use(
    "verify",
    CKF.VERIFY,
    CKA.VERIFY,
    lambda mechanism, key, parameter: mechanism.verify(key, parameter),
)
ENCRYPT = Use(
    "encrypt",
    CKF.ENCRYPT,
    CKA.ENCRYPT,
    lambda mechanism, key, parameter: mechanism.encrypt(key, parameter),
)
DECRYPT = Use(
    "decrypt",
    CKF.DECRYPT,
    CKA.DECRYPT,
    lambda mechanism, key, parameter: mechanism.decrypt(key, parameter),
)


SIGN_RECOVER = Use(
    "sign-recover",
    CKF.SIGN_RECOVER,
    CKA.SIGN_RECOVER,
    lambda mechanism, key, parameter: mechanism.sign_recover(key, parameter),
)
VERIFY_RECOVER = Use(
    "verify-recover",
    CKF.VERIFY_RECOVER,
    CKA.VERIFY_RECOVER,
    lambda mechanism, key, parameter: mechanism.recover(key, parameter),
)
VERIFY_SIGNATURE = replace(VERIFY, name="verify-signature")


def begin_use(
    app: Application, session: Session, use: Use, mechanism: wire.Mechanism | None, key: int
) -> None:
    """Begin an operation with a key, or end the one under way where no mechanism is given.

    CKR_OPERATION_ACTIVE while one of that kind is under way. A key with CKA_ALWAYS_AUTHENTICATE
    has to be authorised by a login before it is used (PKCS#11 3.2 §4.9).
    """
    if mechanism is None:
        session.end(use.name)
        return
    session.require_free(use.name)
    found = find(session, mechanism, use.flag)
    obj, material = key_for(app, session, found, key, use.permission)
    parameter = parameter_of(mechanism)

    def begin() -> object:
        return use.begin(found, material, parameter)

    authorised = not obj.flag(CKA.ALWAYS_AUTHENTICATE)
    session.operations[use.name] = Operation(
        begin(), obj, authorised, begin=begin, mechanism=found.kind
    )
    if obj.private and app.role(session.chip) is not Role.USER:
        # Another thread has logged out meanwhile, and saw no operation to end, or has ended it.
        session.operations.pop(use.name, None)
        raise Refusal(CKR.USER_NOT_LOGGED_IN)
