"""Quirks: each does what it is called, and nothing of it is there where it is not switched on."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from piv_program import PIN as PIV_PIN
from piv_program import PivProgram
from program import PIN, Program

from ukey_emulator.card.card import Card
from ukey_emulator.cryptoki.wire import Mechanism, Out
from ukey_emulator.profiles import Profile, ProfileError
from ukey_emulator.profiles.quirks import Quirk
from ukey_emulator.rack.keyring import KeyInfo, Keyring
from ukey_emulator.terms import CKF, CKM, CKO, CKR, CKU

COUNT = Out(asked=True, capacity=None)
SHORT = Out(asked=True, capacity=4)


@pytest.fixture
def keys(
    keyring: Keyring, program: Program, tmp_path: Path
) -> Callable[[Quirk], Iterator[KeyInfo]]:
    """Give a key without a quirk and one with it."""

    def made(quirk: Quirk) -> Iterator[KeyInfo]:
        path = tmp_path / "odd.toml"
        for listed in ("", f'"{quirk}"'):
            path.write_text(f"quirks = [{listed}]")
            key = keyring.new(profile=str(path))
            program.C_GetSlotList(True, COUNT)
            yield key

    return made


Keys = Callable[[Quirk], Iterator[KeyInfo]]


def flags(program: Program, key: KeyInfo) -> int:
    return int.from_bytes(program.C_GetTokenInfo(key.slot, True)[96:104], "little")


def test_a_second_login_is_all_right(program: Program, keys: Keys) -> None:
    codes = []
    for key in keys(Quirk.LOGIN_AGAIN):
        session = program.open(key.slot, user=CKU.USER)
        codes.append(program.rv("C_Login", session, CKU.USER, b"whatever"))
    assert codes == [CKR.USER_ALREADY_LOGGED_IN, CKR.OK]


def test_a_locked_pin_is_said_to_be_incorrect(program: Program, keys: Keys) -> None:
    codes = []
    for key in keys(Quirk.LOCKED_INCORRECT):
        session = program.open(key.slot)
        for _ in range(10):
            program.rv("C_Login", session, CKU.USER, b"0000")
        codes.append(program.rv("C_Login", session, CKU.USER, PIN))
        assert flags(program, key) & CKF.USER_PIN_LOCKED
    assert codes == [CKR.PIN_LOCKED, CKR.PIN_INCORRECT]


def test_how_many_tries_are_left_is_not_told(program: Program, keys: Keys) -> None:
    told = []
    for key in keys(Quirk.NO_TRIES):
        session = program.open(key.slot)
        for _ in range(9):
            program.rv("C_Login", session, CKU.USER, b"0000")
        told.append(flags(program, key) & (CKF.USER_PIN_COUNT_LOW | CKF.USER_PIN_FINAL_TRY))
    assert told == [CKF.USER_PIN_COUNT_LOW | CKF.USER_PIN_FINAL_TRY, 0]


def test_a_pulled_key_leaves_invalid_handles(
    keyring: Keyring, program: Program, keys: Keys
) -> None:
    codes = []
    for key in keys(Quirk.REMOVED_HANDLE):
        first, second = program.open(key.slot), program.open(key.slot)
        keyring.unplug(key.name)
        codes.append([program.rv("C_GetSessionInfo", each, True) for each in (first, second)])
    assert codes == [[CKR.DEVICE_REMOVED] * 2, [CKR.SESSION_HANDLE_INVALID] * 2]


def test_a_short_buffer_ends_the_operation(program: Program, keys: Keys) -> None:
    codes = []
    for key in keys(Quirk.SHORT_BUFFER):
        session = program.open(key.slot)
        program.C_DigestInit(session, Mechanism(CKM.SHA256, None))
        program.C_Digest(session, b"text", COUNT)
        assert program.rv("C_Digest", session, b"text", SHORT) == CKR.BUFFER_TOO_SMALL
        codes.append(program.rv("C_Digest", session, b"text", Out(asked=True, capacity=32)))
    assert codes == [CKR.OK, CKR.OPERATION_NOT_INITIALIZED]


def test_there_are_no_profile_objects(program: Program, keys: Keys) -> None:
    found = [
        bool(program.find(program.open(key.slot), CLASS=int(CKO.PROFILE)))
        for key in keys(Quirk.NO_PROFILES)
    ]
    assert found == [True, False]


def test_piv_takes_a_new_pin_of_letters(keyring: Keyring, keys: Keys) -> None:
    words = []
    for key in keys(Quirk.ANY_PIN):
        piv = PivProgram(Card(keyring.plugged(key.name), keyring._slots.epoch))
        words.append(piv.send(0x24, 0, 0x80, PIV_PIN + b"letters\xff")[1])
    assert words == [0x6A80, 0x9000]


def test_each_has_a_test_here() -> None:
    source = Path(__file__).read_text(encoding="utf-8")
    assert [quirk for quirk in Quirk if f"keys(Quirk.{quirk.name})" not in source] == []


def test_a_quirk_that_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "odd.toml"
    path.write_text('quirks = ["login-agan-is-ok"]')
    with pytest.raises(ProfileError, match="close to it are: login-again-is-ok"):
        Profile.load(str(path))
