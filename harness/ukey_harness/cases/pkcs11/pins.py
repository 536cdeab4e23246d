"""PINs (PKCS#11 3.2 §5.5.8, §5.5.9), logins with them (§5.6.8) and their counters (§3.2): PN."""

from ukey_harness.cases.case import Changes, NotApplicable, Section
from ukey_harness.cases.pkcs11.keys import data
from ukey_harness.cases.pkcs11.stand import Stand
from ukey_harness.cryptoki.names import CKA, CKU, TokenFlag

pins = Section("PKCS#11 3.2", "PINs")

NEW_PIN = "24681357"
LONGEST = 100_000  # a PIN beyond this is no case's matter
MOST_TRIES = 20  # after so many wrong PINs a token that is not locked does not lock at all
LOW = TokenFlag.USER_PIN_COUNT_LOW | TokenFlag.USER_PIN_FINAL_TRY | TokenFlag.USER_PIN_LOCKED
SO_LOW = TokenFlag.SO_PIN_COUNT_LOW | TokenFlag.SO_PIN_FINAL_TRY | TokenFlag.SO_PIN_LOCKED


def set_pin(stand: Stand, session: int, old: str, new: str | bytes) -> str:
    """C_SetPIN."""
    fresh = new if isinstance(new, bytes) else new.encode()
    return stand.rv("SetPIN", session, old.encode(), fresh)


def init_pin(stand: Stand, session: int, new: str) -> str:
    """C_InitPIN."""
    return stand.rv("InitPIN", session, new.encode())


@pins.case(
    "PN-01",
    "5.5.8",
    "C_InitPIN fails in a public session, and the PIN stays.",
    "USER_NOT_LOGGED_IN, OK",
    changes=Changes.TOKEN,
)
def _pn_01(stand: Stand) -> tuple[str, str]:
    session = stand.session()
    return init_pin(stand, session, NEW_PIN), stand.login(session)


@pins.case(
    "PN-02",
    "5.5.8",
    "C_InitPIN fails in a user's session: only the SO may call it.",
    "USER_NOT_LOGGED_IN, OK, OK",
    changes=Changes.TOKEN,
)
def _pn_02(stand: Stand) -> tuple[str, ...]:
    session = stand.user()
    name = init_pin(stand, session, NEW_PIN)
    return name, stand.rv("Logout", session), stand.login(session)


def of_length(length: int) -> str:
    """Return a PIN of that length; NotApplicable where the token's limit is none."""
    if length > LONGEST:
        raise NotApplicable(f"C_GetTokenInfo gives a limit of {length - 1} for a PIN's length.")
    return "7" * length


def _refused_length(stand: Stand, length: int) -> tuple[str, ...]:
    session = stand.so()
    name = init_pin(stand, session, of_length(length))
    return name, stand.rv("Logout", session), stand.login(session)


@pins.case(
    "PN-03",
    "5.5.8",
    "C_InitPIN refuses a PIN that is shorter than ulMinPinLen, and the old one stays.",
    "PIN_LEN_RANGE, OK, OK",
    allow=("PIN_INVALID, OK, OK",),
    changes=Changes.TOKEN,
)
def _pn_03(stand: Stand) -> tuple[str, ...]:
    return _refused_length(stand, int(stand.token_info().ulMinPinLen) - 1)


@pins.case(
    "PN-04",
    "5.5.8",
    "C_InitPIN refuses a PIN that is longer than ulMaxPinLen, and the old one stays.",
    "PIN_LEN_RANGE, OK, OK",
    allow=("PIN_INVALID, OK, OK",),
    changes=Changes.TOKEN,
)
def _pn_04(stand: Stand) -> tuple[str, ...]:
    return _refused_length(stand, int(stand.token_info().ulMaxPinLen) + 1)


@pins.case(
    "PN-05",
    "5.5.8",
    "C_InitPIN sets the user's PIN: the new one is right from then on, the old one wrong.",
    "OK, PIN_INCORRECT, OK",
    changes=Changes.TOKEN,
)
def _pn_05(stand: Stand) -> tuple[str, ...]:
    session = stand.so()
    name = init_pin(stand, session, NEW_PIN)
    stand.must("Logout", session)
    return name, stand.login(session), stand.login(session, pin=NEW_PIN)


@pins.case(
    "PN-06",
    "5.5.9",
    "C_SetPIN fails in a read-only session, logged in or not.",
    "SESSION_READ_ONLY, SESSION_READ_ONLY",
    changes=Changes.TOKEN,
)
def _pn_06(stand: Stand) -> tuple[str, ...]:
    session = stand.session(write=False)
    first = set_pin(stand, session, stand.pin(), NEW_PIN)
    stand.enter(session)
    return first, set_pin(stand, session, stand.pin(), NEW_PIN)


@pins.case(
    "PN-07",
    "5.5.9",
    "C_SetPIN refuses a wrong old PIN and changes nothing.",
    "PIN_INCORRECT, PIN_INCORRECT, OK",
    changes=Changes.TOKEN,
)
def _pn_07(stand: Stand) -> tuple[str, ...]:
    session = stand.session()
    name = set_pin(stand, session, stand.wrong_pin(), NEW_PIN)
    return name, stand.login(session, pin=NEW_PIN), stand.login(session)


@pins.case(
    "PN-08",
    "5.5.9",
    "C_SetPIN in a public read/write session changes the user's PIN.",
    "OK, PIN_INCORRECT, OK",
    changes=Changes.TOKEN,
)
def _pn_08(stand: Stand) -> tuple[str, ...]:
    session = stand.session()
    name = set_pin(stand, session, stand.pin(), NEW_PIN)
    return name, stand.login(session), stand.login(session, pin=NEW_PIN)


@pins.case(
    "PN-09",
    "5.5.9",
    "C_SetPIN in the SO's session changes the SO's PIN, and not the user's.",
    "OK, PIN_INCORRECT, OK, OK",
    changes=Changes.TOKEN,
)
def _pn_09(stand: Stand) -> tuple[str, ...]:
    session = stand.so()
    name = set_pin(stand, session, stand.pin(CKU.SO), NEW_PIN)
    stand.must("Logout", session)
    old, new = stand.login(session, CKU.SO), stand.login(session, CKU.SO, NEW_PIN)
    if new == "OK":  # a key is not left with an SO PIN that its owner does not know
        set_pin(stand, session, NEW_PIN, stand.pin(CKU.SO))
    stand.must("CloseSession", session)
    return name, old, new, stand.login(stand.session())


@pins.case(
    "PN-10",
    "5.5.9",
    "C_SetPIN refuses a new PIN outside of the limits of length, and the old one stays.",
    "PIN_LEN_RANGE, PIN_LEN_RANGE, OK",
    allow=("PIN_LEN_RANGE | PIN_INVALID, PIN_LEN_RANGE | PIN_INVALID, OK",),
    changes=Changes.TOKEN,
)
def _pn_10(stand: Stand) -> tuple[str, ...]:
    session, info = stand.session(), stand.token_info()
    short, long = int(info.ulMinPinLen) - 1, int(info.ulMaxPinLen) + 1
    names = [set_pin(stand, session, stand.pin(), of_length(length)) for length in (short, long)]
    return names[0], names[1], stand.login(session)


@pins.case(
    "PN-11",
    "5.6.8",
    "A wrong user PIN is refused, and nobody is logged in.",
    "PIN_INCORRECT, 2",
    changes=Changes.PIN,
)
def _pn_11(stand: Stand) -> tuple[str | int, ...]:
    session = stand.session()
    name = stand.login(session, pin=stand.wrong_pin())
    seen = name, stand.state(session)
    stand.login(session)
    return seen


def failed_flags(stand: Stand, user: int) -> tuple[TokenFlag, str]:
    """Log in wrongly once; return the token's flags after that, and what C_Login returned."""
    session = stand.session()
    pin = stand.pin(user)
    name = stand.login(session, user, stand.wrong_pin(pin))
    return stand.token_flags(), name


@pins.case(
    "PN-12",
    "3.2",
    "After a wrong user PIN the token shows that the user's tries have become fewer.",
    "clear, PIN_INCORRECT, USER_PIN_COUNT_LOW",
    allow=("clear, PIN_INCORRECT, USER_PIN_FINAL_TRY | USER_PIN_LOCKED",),
    changes=Changes.PIN,
)
def _pn_12(stand: Stand) -> tuple[str, ...]:
    return _low_after_failure(stand, CKU.USER, LOW)


@pins.case(
    "PN-16",
    "3.2",
    "After a wrong SO PIN the token shows that the SO's tries have become fewer.",
    "clear, PIN_INCORRECT, SO_PIN_COUNT_LOW",
    allow=("clear, PIN_INCORRECT, SO_PIN_FINAL_TRY | SO_PIN_LOCKED",),
    changes=Changes.PIN,
)
def _pn_16(stand: Stand) -> tuple[str, ...]:
    return _low_after_failure(stand, CKU.SO, SO_LOW)


def _low_after_failure(stand: Stand, user: int, flags: TokenFlag) -> tuple[str, ...]:
    before = stand.token_flags() & flags
    after, name = failed_flags(stand, user)
    other = (LOW | SO_LOW) & ~flags & after
    if other:
        return "clear", name, f"{other.name} of the other user"
    shown = [each.name or "" for each in flags if each in after]
    session = stand.session()
    stand.login(session, user)
    return "clear" if not before else str(before.name), name, shown[0] if shown else "nothing"


@pins.case(
    "PN-13",
    "3.2",
    "Wrong PINs show FINAL_TRY before the last try and LOCKED after it, and then the right PIN is "
    "refused as locked.",
    "FINAL_TRY, LOCKED, PIN_LOCKED",
    changes=Changes.TOKEN,
    locks=True,
)
def _pn_13(stand: Stand) -> tuple[str, ...]:
    session = stand.session()
    before, flags = TokenFlag(0), TokenFlag(0)
    for _ in range(MOST_TRIES):
        name = stand.login(session, pin=stand.wrong_pin())
        before, flags = flags, stand.token_flags()
        if TokenFlag.USER_PIN_LOCKED in flags or name == "PIN_LOCKED":
            break
    else:
        if not stand.subject.locks_after:
            raise NotApplicable(
                f"The token locks no PIN: after {MOST_TRIES} wrong ones the right one gives "
                f"CKR_{stand.login(session)}."
            )
    return (
        "FINAL_TRY" if TokenFlag.USER_PIN_FINAL_TRY in before else "no FINAL_TRY",
        "LOCKED" if TokenFlag.USER_PIN_LOCKED in flags else "not LOCKED",
        stand.login(session),
    )


@pins.case(
    "PN-14",
    "3.2",
    "A right PIN after a wrong one clears the flags of few tries.",
    "PIN_INCORRECT, OK, clear",
    changes=Changes.PIN,
)
def _pn_14(stand: Stand) -> tuple[str, ...]:
    session = stand.session()
    wrong = stand.login(session, pin=stand.wrong_pin())
    right = stand.login(session)
    left = stand.token_flags() & LOW
    return wrong, right, str(left.name) if left else "clear"


@pins.case(
    "PN-15",
    "5.6.8",
    "A wrong SO PIN is refused, and nobody is logged in.",
    "PIN_INCORRECT, 2",
    changes=Changes.PIN,
)
def _pn_15(stand: Stand) -> tuple[str | int, ...]:
    session = stand.session()
    name = stand.login(session, CKU.SO, stand.wrong_pin(stand.pin(CKU.SO)))
    seen = name, stand.state(session)
    stand.login(session, CKU.SO)
    return seen


@pins.case(
    "PN-17",
    "5.6.8",
    "What a wrong PIN has cost is still gone after C_Finalize and C_Initialize.",
    "kept",
    changes=Changes.PIN,
)
def _pn_17(stand: Stand) -> str:
    flags, _ = failed_flags(stand, CKU.USER)
    if not flags & LOW:
        raise NotApplicable("The token shows no flag after a wrong PIN: there is nothing to keep.")
    stand.finalize()
    stand.forget_slot()
    kept = stand.token_flags() & LOW
    stand.login(stand.session())
    return "kept" if kept == flags & LOW else f"{(flags & LOW).name} became {kept.name or 'clear'}"


@pins.case(
    "PN-18",
    "5.6.8",
    "A NULL PIN is no PIN for a token without a protected authentication path.",
    "ARGUMENTS_BAD, 2",
    allow=("PIN_INCORRECT, 2",),
    changes=Changes.PIN,
)
def _pn_18(stand: Stand) -> tuple[str | int, ...]:
    if TokenFlag.PROTECTED_AUTHENTICATION_PATH in stand.token_flags():
        raise NotApplicable(
            "The token shows CKF_PROTECTED_AUTHENTICATION_PATH: NULL is right there."
        )
    session = stand.session()
    name = stand.rv("Login", session, CKU.USER, None, 4)
    return name, stand.state(session)


@pins.case(
    "PN-19",
    "5.5.9",
    "A PIN may have any character of UTF-8, and all its bytes count.",
    "OK, PIN_INCORRECT, OK",
    changes=Changes.TOKEN,
)
def _pn_19(stand: Stand) -> tuple[str, ...]:
    session, pin = stand.session(), "密码六位数"
    name = set_pin(stand, session, stand.pin(), pin)
    return name, stand.login(session, pin=pin[:-1]), stand.login(session, pin=pin)


@pins.case(
    "PN-20",
    "5.5.8",
    "The SO can set the user's PIN without knowing it, and the old one stops working.",
    "PIN_INCORRECT, OK, PIN_INCORRECT, OK",
    changes=Changes.TOKEN,
)
def _pn_20(stand: Stand) -> tuple[str, ...]:
    session = stand.session()
    wrong = stand.login(session, pin=stand.wrong_pin())
    stand.enter(session, CKU.SO)
    name = init_pin(stand, session, NEW_PIN)
    stand.must("Logout", session)
    return wrong, name, stand.login(session), stand.login(session, pin=NEW_PIN)


@pins.case(
    "PN-21",
    "5.5.8",
    "The user's private objects are readable after the SO has set a new PIN.",
    "OK, OK, 1, same",
    changes=Changes.TOKEN,
)
def _pn_21(stand: Stand) -> tuple[str | int, ...]:
    session = stand.user()
    stand.create(session, data({CKA.TOKEN: True, CKA.PRIVATE: True, CKA.VALUE: b"kept"}))
    stand.must("Logout", session)
    stand.enter(session, CKU.SO)
    name = init_pin(stand, session, NEW_PIN)
    stand.must("Logout", session)
    entered = stand.login(session, pin=NEW_PIN)
    found = stand.find(session, {CKA.LABEL: data()[CKA.LABEL]})
    value = stand.attribute(session, found[0], CKA.VALUE) if found else None
    return name, entered, len(found), "same" if value == b"kept" else "another value"


@pins.case(
    "PN-23",
    "3.2",
    "PINs of the smallest and of the largest length that the token tells are taken.",
    "OK, OK, OK, OK",
    changes=Changes.TOKEN,
)
def _pn_23(stand: Stand) -> tuple[str, ...]:
    session, info, seen = stand.so(), stand.token_info(), []
    for length in (int(info.ulMinPinLen), int(info.ulMaxPinLen)):
        if length:
            pin = ("24681357" * length)[: len(of_length(length))]
            seen.append(init_pin(stand, session, pin))
            stand.must("Logout", session)
            seen.append(stand.login(session, pin=pin))
            stand.rv("Logout", session)
            stand.enter(session, CKU.SO)
    return tuple(seen)


@pins.case(
    "PN-24",
    "5.5.9",
    "C_SetPIN wants the old PIN of those who are logged in, too.",
    "PIN_INCORRECT, OK, PIN_INCORRECT, OK",
    changes=Changes.TOKEN,
)
def _pn_24(stand: Stand) -> tuple[str, ...]:
    session, seen = stand.session(), []
    for user in (CKU.USER, CKU.SO):
        right = stand.pin(user)
        stand.enter(session, user)
        seen.append(set_pin(stand, session, stand.wrong_pin(right), NEW_PIN))
        stand.must("Logout", session)
        seen.append(stand.login(session, user))
        stand.rv("Logout", session)
    return tuple(seen)
