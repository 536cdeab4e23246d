"""Random numbers (PKCS#11 3.2 §5.19): RN."""

from ukey_harness.cases.case import NotApplicable, Section
from ukey_harness.cases.pkcs11.stand import Stand
from ukey_harness.cryptoki.arguments import Raw, Room
from ukey_harness.cryptoki.names import NOBODY, TokenFlag

random = Section("PKCS#11 3.2", "Random numbers")

LENGTH = 32


def drawn(stand: Stand, session: int, length: int = LENGTH) -> tuple[str, bytes]:
    """C_GenerateRandom; return its name and what it wrote."""
    room = Room(length)
    name = stand.rv("GenerateRandom", session, Raw(room.pointer), length)
    return "wrote behind the buffer" if room.overrun else name, room.memory


def wanted(stand: Stand) -> int:
    """Return a session with a token that has random numbers."""
    if TokenFlag.RNG not in stand.token_flags():
        raise NotApplicable("The token does not show CKF_RNG.")
    return stand.session()


@random.case(
    "RN-01", "5.19.2", "Two draws differ, and neither is all of one byte.", "OK, OK, differ"
)
def _rn_01(stand: Stand) -> tuple[str, ...]:
    session = wanted(stand)
    (first, one), (second, two) = drawn(stand, session), drawn(stand, session)
    fresh = one != two and len(set(one)) > 1 and len(set(two)) > 1
    return first, second, "differ" if fresh else "the same"


@random.case("RN-02", "5.19.2", "C_GenerateRandom refuses a NULL buffer.", "ARGUMENTS_BAD")
def _rn_02(stand: Stand) -> str:
    return stand.rv("GenerateRandom", wanted(stand), None, 8)


@random.case(
    "RN-03",
    "5.19.1",
    "A token takes a seed, or says that it takes none; its numbers stay fresh.",
    "OK, differ",
    allow=("RANDOM_SEED_NOT_SUPPORTED | FUNCTION_NOT_SUPPORTED, differ",),
)
def _rn_03(stand: Stand) -> tuple[str, str]:
    session = wanted(stand)
    name = stand.rv("SeedRandom", session, b"the same seed")
    first = drawn(stand, session)[1]
    stand.rv("SeedRandom", session, b"the same seed")
    return name, "differ" if drawn(stand, session)[1] != first else "the same"


@random.case(
    "RN-04",
    "5.19",
    "Random numbers are given to sessions alone.",
    "SESSION_HANDLE_INVALID, SESSION_HANDLE_INVALID",
)
def _rn_04(stand: Stand) -> tuple[str, str]:
    stand.session()
    return drawn(stand, NOBODY)[0], stand.rv("SeedRandom", NOBODY, b"seed")


@random.case("RN-05", "3.2", "CKF_RNG says whether the token has random numbers.", "agree")
def _rn_05(stand: Stand) -> str:
    says = TokenFlag.RNG in stand.token_flags()
    name = drawn(stand, stand.session())[0]
    wanted = "OK" if says else "RANDOM_NO_RNG"
    return "agree" if name == wanted else f"flag {says}, then {name}"


@random.case(
    "RN-06",
    "5.19.2",
    "Nothing can be drawn, or is refused as an argument.",
    "OK",
    allow=("ARGUMENTS_BAD",),
)
def _rn_06(stand: Stand) -> str:
    return drawn(stand, wanted(stand), 0)[0]
