"""Token management (§5.5): InitToken, InitPIN, SetPIN, and what C_GetTokenInfo shows."""

from .allowed import Allowed, Difference, granted, refused, require
from .state import Application, Pin, World
from .values import Info, Null, Reply

FLAGS = {
    "LOGIN_REQUIRED": 0x4,
    "USER_PIN_INITIALIZED": 0x8,
    "TOKEN_INITIALIZED": 0x400,
    "USER_PIN_COUNT_LOW": 0x10000,
    "USER_PIN_FINAL_TRY": 0x20000,
    "USER_PIN_LOCKED": 0x40000,
    "SO_PIN_COUNT_LOW": 0x100000,
    "SO_PIN_FINAL_TRY": 0x200000,
    "SO_PIN_LOCKED": 0x400000,
}


def pin_faults(world: World, pin: Pin | None, given: object) -> set[str]:
    """Tell which codes a PIN earns that is given (§5.1.6).

    The last try may already be told as CKR_PIN_LOCKED, as the PIN is locked when it is told.
    """
    if pin is None or not isinstance(given, bytes):
        return set()
    if world.locked(pin):
        return {"PIN_LOCKED"}
    if given == pin.value:
        return set()
    last = world.traits.tries is not None and pin.failures + 1 >= world.traits.tries
    return {"PIN_INCORRECT", "PIN_LOCKED"} if last else {"PIN_INCORRECT"}


def length_faults(world: World, given: object) -> set[str]:
    """Tell which codes a new PIN earns by its length (§5.5.8); CKR_PIN_INVALID says it as well."""
    least, most = world.traits.pin_lengths
    if isinstance(given, bytes) and not least <= len(given) <= most:
        return {"PIN_LEN_RANGE", "PIN_INVALID"}
    return set()


def spend(pin: Pin | None) -> "object":
    """Return what follows from a refusal: a wrong PIN has cost a try, any other fault nothing."""

    def follow(reply: Reply) -> None:
        if pin is not None and reply.code in {"PIN_INCORRECT", "PIN_LOCKED"}:
            pin.failures += 1

    return follow


def init_token(
    world: World, app: Application, slot: int, pin: object, label: bytes | None
) -> Allowed:
    """C_InitToken (§5.5.7): with the SO PIN, while no session is open; all objects are lost.

    The user's PIN is gone as well. A module may not know of the sessions of other programs ("if
    Cryptoki detects that any application has an open session").
    """
    faults = pin_faults(world, world.so_pin, pin)
    if slot != world.traits.slot:
        # No token is there whose PIN or sessions could matter.
        bad = isinstance(pin, Null) or label is None
        return refused("SLOT_ID_INVALID", *(["ARGUMENTS_BAD"] if bad else []))
    if isinstance(pin, Null) or label is None:
        faults.add("ARGUMENTS_BAD")
    others = any(other.sessions for other in world.applications if other is not app)
    if app.sessions or (others and world.traits.sees_others):
        faults.add("SESSION_EXISTS")

    def follow(reply: Reply) -> None:
        del reply
        if others:
            raise Difference("OTHERS", ["SESSION_EXISTS"], "sessions of other programs are open")
        world.so_pin.failures = 0
        world.user_pin = None
        world.label = (label or b"").decode().rstrip()
        for obj in [obj for obj in world.objects if not obj.built_in]:
            world.remove(obj)

    return Allowed(faults, None if faults else follow, spend(world.so_pin))


def init_pin(world: World, app: Application, handle: int, pin: object) -> Allowed:
    """C_InitPIN (§5.5.8): only in the state R/W SO Functions; the PIN is unlocked by it."""
    if handle not in app.sessions:
        return refused("SESSION_HANDLE_INVALID")
    faults = length_faults(world, pin)
    if app.login != "SO":
        faults.add("USER_NOT_LOGGED_IN")
    if not app.sessions[handle].writable:
        faults.add("SESSION_READ_ONLY")
    if isinstance(pin, Null):
        faults.add("ARGUMENTS_BAD")

    def follow(reply: Reply) -> None:
        del reply
        world.user_pin = Pin(pin)

    return granted(follow, faults=faults)


def set_pin(world: World, app: Application, handle: int, old: object, new: object) -> Allowed:
    """C_SetPIN (§5.5.9): of the SO in an SO session, else of the user; R/W sessions only.

    Where the user has no PIN yet the old one is wrong: CKR_USER_PIN_NOT_INITIALIZED "can only be
    returned by C_Login" (§5.1.6).
    """
    if handle not in app.sessions:
        return refused("SESSION_HANDLE_INVALID")
    pin = world.pin("SO" if app.login == "SO" else "USER")
    faults = length_faults(world, new) | pin_faults(world, pin, old)
    if pin is None:
        faults.add("PIN_INCORRECT")
    if not app.sessions[handle].writable:
        faults.add("SESSION_READ_ONLY")
    if isinstance(old, Null) or isinstance(new, Null):
        faults.add("ARGUMENTS_BAD")

    def follow(reply: Reply) -> None:
        del reply
        if pin is not None:
            pin.value, pin.failures = new, 0

    return Allowed(faults, None if faults else follow, spend(pin))


def get_token_info(world: World, app: Application, slot: int, info: Info) -> Allowed:
    """C_GetTokenInfo (§5.5.3, §3.2): label, flags of the PINs, counts of sessions."""
    faults = set() if slot == world.traits.slot else {"SLOT_ID_INVALID"}
    if not info.asked:
        faults.add("ARGUMENTS_BAD")
    if faults:
        return refused(*faults)
    return granted(lambda reply: check_token_info(world, app, reply.written[0]))


def check_token_info(world: World, app: Application, seen: dict) -> None:
    """Compare what a token tells of itself.

    The flags of a PIN's tries are optional ("may be always set to false", table of §3.2) only as
    a whole: with a limit on tries they have to be right.
    """
    flags = seen["flags"]
    wanted = {"TOKEN_INITIALIZED": True, "LOGIN_REQUIRED": True}
    wanted["USER_PIN_INITIALIZED"] = world.user_pin is not None
    for who, pin in (("USER", world.user_pin), ("SO", world.so_pin)):
        tries = world.traits.tries
        if tries is None or pin is None:
            continue
        wanted[f"{who}_PIN_LOCKED"] = world.locked(pin)
        if not world.locked(pin):
            wanted[f"{who}_PIN_COUNT_LOW"] = pin.failures > 0
            wanted[f"{who}_PIN_FINAL_TRY"] = pin.failures == tries - 1
    for name, is_set in wanted.items():
        require(bool(flags & FLAGS[name]) is is_set, "flags", f"CKF_{name} is not {is_set}")
    require(seen["label"].rstrip() == world.label, "label", seen["label"])
    sessions = app.sessions.values()
    for name, count in (
        ("ulSessionCount", len(sessions)),
        ("ulRwSessionCount", sum(session.writable for session in sessions)),
    ):
        require(seen[name] in {count, 2**64 - 1}, "count", f"{name} is {seen[name]}, not {count}")


CHAPTER = {
    "InitToken": init_token,
    "InitPIN": init_pin,
    "SetPIN": set_pin,
    "GetTokenInfo": get_token_info,
}
