"""PINs that lock (PKCS#11 3.2 §3.2, §5.5, §5.6.8, §4.10): LK. Never put to a key that is dear."""

from ukey_harness.cases.case import Changes, Section
from ukey_harness.cases.pkcs11.keys import MESSAGE, rsa
from ukey_harness.cases.pkcs11.needs import locks, removable, token_flag
from ukey_harness.cases.pkcs11.pins import (
    LOW,
    MOST_TRIES,
    NEW_PIN,
    SO_LOW,
    failed_flags,
    init_pin,
    set_pin,
)
from ukey_harness.cases.pkcs11.sign import EACH_USE, RSA
from ukey_harness.cases.pkcs11.slots import init_token
from ukey_harness.cases.pkcs11.stand import Stand
from ukey_harness.cryptoki.arguments import Room
from ukey_harness.cryptoki.names import CKM, CKU, TokenFlag

lockout = Section("PKCS#11 3.2", "PINs that lock")

FLAGS = {
    CKU.USER: (TokenFlag.USER_PIN_FINAL_TRY, TokenFlag.USER_PIN_LOCKED, LOW, SO_LOW),
    CKU.SO: (TokenFlag.SO_PIN_FINAL_TRY, TokenFlag.SO_PIN_LOCKED, SO_LOW, LOW),
}


def lock(stand: Stand, session: int, user: CKU = CKU.USER) -> tuple[TokenFlag, TokenFlag]:
    """Give wrong PINs until that one is locked; return the flags before the last and after it."""
    locked = FLAGS[user][1]
    right = stand.pin(user)
    before = after = stand.token_flags()
    for _ in range(MOST_TRIES):
        if locked in after:
            break
        name = stand.login(session, user, stand.wrong_pin(right))
        before, after = after, stand.token_flags()
        if name == "PIN_LOCKED":
            break
    return before, after


@lockout.case(
    "LK-01",
    "3.2",
    "Before the last try the token shows FINAL_TRY, after it LOCKED, for the user and for the SO, "
    "and neither touches the other's.",
    "FINAL_TRY, LOCKED, apart, FINAL_TRY, LOCKED, apart",
    changes=Changes.TOKEN,
    locks=True,
    needs=(locks,),
)
def _lk_01(stand: Stand) -> tuple[str, ...]:
    session = stand.session()
    seen: list[str] = []
    for user in (CKU.USER, CKU.SO):
        final, locked, _, others = FLAGS[user]
        kept = stand.token_flags() & others
        before, after = lock(stand, session, user)
        seen.append("FINAL_TRY" if final in before else "no FINAL_TRY")
        seen.append("LOCKED" if locked in after else "not LOCKED")
        seen.append("apart" if after & others == kept else "the other's changed")
    return tuple(seen)


@lockout.case(
    "LK-02",
    "5.6.8",
    "A locked PIN is refused as locked though it is right, by C_Login and by C_SetPIN.",
    "PIN_LOCKED, PIN_LOCKED, 2",
    changes=Changes.TOKEN,
    locks=True,
    needs=(locks,),
)
def _lk_02(stand: Stand) -> tuple[str | int, ...]:
    session = stand.session()
    lock(stand, session)
    return (
        stand.login(session),
        set_pin(stand, session, stand.pin(), NEW_PIN),
        stand.state(session),
    )


@lockout.case(
    "LK-03",
    "5.5.8",
    "A new PIN by the SO unlocks the user, and the token no longer shows it as locked.",
    "OK, not LOCKED, OK",
    changes=Changes.TOKEN,
    locks=True,
    needs=(locks,),
)
def _lk_03(stand: Stand) -> tuple[str, ...]:
    session = stand.session()
    lock(stand, session)
    stand.enter(session, CKU.SO)
    name = init_pin(stand, session, NEW_PIN)
    locked = TokenFlag.USER_PIN_LOCKED in stand.token_flags()
    stand.must("Logout", session)
    return name, "LOCKED" if locked else "not LOCKED", stand.login(session, pin=NEW_PIN)


@lockout.case(
    "LK-04",
    "5.5.7",
    "With the SO's PIN locked neither the SO's login nor C_InitToken goes through; the user is not "
    "concerned.",
    "PIN_LOCKED, PIN_LOCKED, OK",
    changes=Changes.TOKEN,
    locks=True,
    needs=(locks,),
)
def _lk_04(stand: Stand) -> tuple[str, ...]:
    session = stand.session()
    lock(stand, session, CKU.SO)
    name = stand.login(session, CKU.SO)
    stand.must("CloseSession", session)
    refused = init_token(stand)
    return name, refused, stand.login(stand.session())


@lockout.case(
    "LK-05",
    "4.10",
    "The wrong PIN at a context-specific login that locks the PIN says so, and logs the user out.",
    "PIN_LOCKED, 2, LOCKED, USER_NOT_LOGGED_IN",
    allow=("PIN_LOCKED, 2, LOCKED, OPERATION_NOT_INITIALIZED | KEY_HANDLE_INVALID",),
    changes=Changes.TOKEN,
    locks=True,
    needs=(locks, RSA),
)
def _lk_05(stand: Stand) -> tuple[str | int, ...]:
    session = stand.user()
    _, private = rsa(stand, session, EACH_USE)
    stand.begin("Sign", session, CKM.RSA_PKCS, private)
    names = []
    for _ in range(MOST_TRIES):
        names.append(stand.login(session, CKU.CONTEXT_SPECIFIC, stand.wrong_pin()))
        if names[-1] != "PIN_INCORRECT":
            break
    locked = TokenFlag.USER_PIN_LOCKED in stand.token_flags()
    after = stand.rv("Sign", session, MESSAGE, Room())
    return names[-1], stand.state(session), "LOCKED" if locked else "not LOCKED", after


@lockout.case(
    "LK-06",
    "3.2",
    "What wrong PINs have cost survives C_Finalize and the token's being taken out; a right PIN "
    "gives it back.",
    "kept, kept, OK, clear",
    changes=Changes.PIN,
    needs=(locks, removable),
)
def _lk_06(stand: Stand) -> tuple[str, ...]:
    flags, _ = failed_flags(stand, CKU.USER)
    shown = flags & LOW
    stand.finalize()
    stand.forget_slot()
    first = stand.token_flags() & LOW
    stand.act("take_out")
    stand.act("plug_in")
    stand.forget_slot()
    second = stand.token_flags() & LOW
    name = stand.login(stand.session())
    left = stand.token_flags() & LOW
    return (
        "kept" if first == shown and shown else f"{shown.name} became {first.name}",
        "kept" if second == shown else f"{shown.name} became {second.name}",
        name,
        "clear" if not left else str(left.name),
    )


@lockout.case(
    "LK-07",
    "5.1.6",
    "A PIN that must be changed can be used for C_SetPIN first, and for nothing else.",
    "PIN_EXPIRED, OK",
    changes=Changes.TOKEN,
    needs=(token_flag(TokenFlag.USER_PIN_TO_BE_CHANGED),),
)
def _lk_07(stand: Stand) -> tuple[str, str]:
    session = stand.session()
    name = stand.login(session)
    if name == "OK":
        handle = stand.rv("FindObjectsInit", session, None, 0)
        name = handle
    return name, set_pin(stand, session, stand.pin(), NEW_PIN)


@lockout.case(
    "LK-08",
    "5.6.8",
    "With a protected authentication path a NULL PIN logs in once the PIN was entered there, and a "
    "cancelled entry is told.",
    "OK, OK, FUNCTION_CANCELED",
    changes=Changes.PIN,
    needs=(token_flag(TokenFlag.PROTECTED_AUTHENTICATION_PATH),),
)
def _lk_08(stand: Stand) -> tuple[str, ...]:
    session = stand.session()
    stand.act("enter_pin", pin=stand.pin())
    first = stand.rv("Login", session, CKU.USER, None, 0)
    second = stand.rv("Logout", session)
    stand.act("cancel_pin")
    return first, second, stand.rv("Login", session, CKU.USER, None, 0)


@lockout.case(
    "LK-09",
    "3.2",
    "FINAL_TRY is shown before the last try alone, for the user and for the SO.",
    "once, once",
    changes=Changes.TOKEN,
    locks=True,
    needs=(locks,),
)
def _lk_09(stand: Stand) -> tuple[str, ...]:
    session, seen = stand.session(), []
    for user in (CKU.USER, CKU.SO):
        final, locked, *_ = FLAGS[user]
        shown = 0
        for _ in range(MOST_TRIES):
            flags = stand.token_flags()
            if locked in flags:
                break
            shown += final in flags
            stand.login(session, user, stand.wrong_pin(stand.pin(user)))
        seen.append("once" if shown == 1 else f"{shown} times")
    return tuple(seen)


@lockout.case(
    "LK-10",
    "3.2",
    "The SO's PIN that is locked is shown as the SO's, and the user's tries stay.",
    "LOCKED, apart, OK",
    changes=Changes.TOKEN,
    locks=True,
    needs=(locks,),
)
def _lk_10(stand: Stand) -> tuple[str, ...]:
    session = stand.session()
    _, locked, _, others = FLAGS[CKU.SO]
    after = lock(stand, session, CKU.SO)[1]
    return (
        "LOCKED" if locked in after else "not LOCKED",
        "the user's changed" if after & others else "apart",
        stand.login(session),
    )
