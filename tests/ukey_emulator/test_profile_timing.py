"""A slow key: how long it takes, whom it holds up meanwhile, and what a pull does to its work."""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from piv_program import PIN as PIV_PIN
from piv_program import PivProgram
from program import PIN, Program, attributes

from ukey_emulator.card.card import Card
from ukey_emulator.cryptoki.face import Face
from ukey_emulator.cryptoki.wire import Mechanism, Out
from ukey_emulator.profiles.identity import Timing
from ukey_emulator.profiles.timing import seconds_of
from ukey_emulator.rack.keyring import KeyInfo, Keyring
from ukey_emulator.rack.rack import Rack
from ukey_emulator.terms import CKM, CKO, CKR, CKU

Plug = Callable[[str], KeyInfo]
COUNT = Out(asked=True, capacity=None)
ROOM = Out(asked=True, capacity=1000)
SHA256 = Mechanism(CKM.SHA256, None)
EC_GENERATION = Mechanism(CKM.EC_KEY_PAIR_GEN, None)
P256 = bytes.fromhex("06082a8648ce3d030107")
FOREVER = 200
PATIENCE = 30
SOON = 0.02


@pytest.fixture
def plug(keyring: Keyring, program: Program, tmp_path: Path) -> Plug:
    def made(text: str) -> KeyInfo:
        path = tmp_path / "slow.toml"
        path.write_text(text)
        key = keyring.new(profile=str(path))
        program.C_GetSlotList(True, COUNT)
        return key

    return made


def timing(function: str, seconds: float, more: str = "") -> str:
    return f'[[timing]]\nfunction = "{function}"\nseconds = {seconds}\n{more}\n'


def took(call: Callable[[], object]) -> float:
    begun = time.monotonic()
    call()
    return time.monotonic() - begun


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.002)


def test_the_timing_that_says_most_holds() -> None:
    generate = CKM.RSA_PKCS_KEY_PAIR_GEN
    timings = (
        Timing("C_Sign", 1.0),
        Timing("C_GenerateKeyPair", 2.0),
        Timing("C_GenerateKeyPair", 3.0, bits=2048),
        Timing("C_GenerateKeyPair", 4.0, mechanism=generate),
        Timing("C_GenerateKeyPair", 5.0, mechanism=generate, bits=1024),
        Timing(0x87, 6.0),
    )
    assert seconds_of(timings, "C_Sign", CKM.RSA_PKCS, 2048) == 1.0
    assert seconds_of(timings, "C_SignFinal") == 1.0
    assert seconds_of(timings, "C_SignUpdate") == 0
    assert seconds_of(timings, "C_GenerateKeyPair", CKM.EC_KEY_PAIR_GEN, 256) == 2.0
    assert seconds_of(timings, "C_GenerateKeyPair", CKM.EC_KEY_PAIR_GEN, 2048) == 3.0
    assert seconds_of(timings, "C_GenerateKeyPair", generate, 2048) == 4.0
    assert seconds_of(timings, "C_GenerateKeyPair", generate, 1024) == 5.0
    assert seconds_of(timings, 0x87) == 6.0
    assert seconds_of(timings, 0x47) == 0


def test_operations_take_their_time_and_the_others_none(program: Program, plug: Plug) -> None:
    key = plug(
        timing("C_Sign", 0.15, 'mechanism = "CKM_ECDSA"')
        + timing("C_Login", 0.1)
        + timing("C_Digest", FOREVER, "bits = 512")
    )
    session = program.open(key.slot)
    assert took(lambda: program.C_Login(session, CKU.USER, PIN)) >= 0.1
    _, signer = program.ec_pair(session)
    program.C_SignInit(session, Mechanism(CKM.ECDSA, None), signer)
    program.C_Sign(session, bytes(32), COUNT)  # a length costs nothing, and ends nothing
    assert took(lambda: program.C_Sign(session, bytes(32), ROOM)) >= 0.15
    for kind, data in ((CKM.ECDSA_SHA256, b"text"),):
        program.C_SignInit(session, Mechanism(kind, None), signer)
        program.C_Sign(session, data, ROOM)
    program.C_DigestInit(session, SHA256)
    program.C_Digest(session, b"text", ROOM)


def test_a_refusal_takes_no_time_but_a_wrong_pin_does(program: Program, plug: Plug) -> None:
    key = plug(timing("C_Login", 0.1) + timing("C_GenerateKeyPair", FOREVER))
    session = program.open(key.slot)
    codes = []
    assert took(lambda: codes.append(program.rv("C_Login", session, CKU.USER, b"0000"))) >= 0.1
    assert codes == [CKR.PIN_INCORRECT]
    program.C_Login(session, CKU.USER, PIN)
    curve = attributes(EC_PARAMS=b"no curve")
    arguments = session, EC_GENERATION, curve, [], True, True
    assert program.rv("C_GenerateKeyPair", *arguments) == CKR.DOMAIN_PARAMS_INVALID


def test_a_key_does_one_thing_after_the_other(
    program: Program, other_program: Program, plug: Plug
) -> None:
    key = plug(timing("C_Digest", 0.1))
    other_program.C_GetSlotList(True, COUNT)

    def digest(mine: Program) -> None:
        session = mine.open(key.slot, writable=False)
        mine.C_DigestInit(session, SHA256)
        mine.C_Digest(session, b"text", ROOM)

    def both() -> None:
        with ThreadPoolExecutor() as pool:
            list(pool.map(digest, (program, other_program)))

    assert took(both) >= 0.2


class Busy:
    """A key that makes a pair on the token, which would take it very long."""

    def __init__(self, program: Program, key: KeyInfo, pool: ThreadPoolExecutor) -> None:
        self.session = program.open(key.slot, user=CKU.USER)
        slots = program.application.slots
        slot = slots.get(key.slot)
        assert slot is not None
        wanted = attributes(EC_PARAMS=P256, TOKEN=True), attributes(TOKEN=True)
        arguments = self.session, EC_GENERATION, *wanted, True, True
        self.code: Future[CKR] = pool.submit(program.rv, "C_GenerateKeyPair", *arguments)
        until(lambda: slot.chip in slots._busy)


def test_others_use_their_keys_meanwhile_and_a_pull_ends_it(
    keyring: Keyring, program: Program, other_program: Program, plug: Plug
) -> None:
    key = plug(timing("C_GenerateKeyPair", FOREVER))
    with ThreadPoolExecutor() as pool:
        busy = Busy(program, key, pool)
        session = other_program.open(user=CKU.USER)
        _, signer = other_program.ec_pair(session)
        other_program.C_SignInit(session, Mechanism(CKM.ECDSA_SHA256, None), signer)
        assert len(other_program.C_Sign(session, b"text", ROOM)) == 64
        other = program.open(user=CKU.USER)  # of the same program, and its other session
        program.C_DigestInit(other, SHA256)
        keyring.new(name="new")
        assert not busy.code.done()
        keyring.unplug(key.name)
        assert busy.code.result(PATIENCE) == CKR.DEVICE_REMOVED
    keyring.plug(key.name)
    session = program.open(key.slot, user=CKU.USER)
    # What was not finished is not there.
    assert program.find(session) == []


def test_a_program_that_ends_waits_no_longer(program: Program, face: Face, plug: Plug) -> None:
    key = plug(timing("C_GenerateKeyPair", FOREVER))
    with ThreadPoolExecutor() as pool:
        busy = Busy(program, key, pool)
        face.detach(program.application)
        assert busy.code.result(PATIENCE) == CKR.CRYPTOKI_NOT_INITIALIZED


def test_a_rack_that_stops_waits_for_nobody(tmp_path: Path) -> None:
    profile = tmp_path / "slow.toml"
    profile.write_text('[[timing]]\napdu = "VERIFY"\nseconds = 200')
    with ThreadPoolExecutor() as pool:
        with Rack(tmp_path / "home", lasting=False) as rack:
            rack.keys.new(profile=str(profile))
            slot = rack._slots.get(0)
            assert slot is not None
            chip = slot.chip
            assert chip is not None
            piv = PivProgram(rack._card(chip))
            verified = pool.submit(piv.send, 0x20, 0, 0x80, PIV_PIN)
            until(lambda: chip in rack._slots._busy)
        verified.result(PATIENCE)


def test_a_card_takes_its_time_too(keyring: Keyring, plug: Plug) -> None:
    key = plug(
        '[[timing]]\napdu = "VERIFY"\nseconds = 0.1\n[[timing]]\napdu = "47"\nseconds = 200\n'
    )
    slots = keyring._slots
    slot = slots.get(key.slot)
    assert slot is not None
    chip = slot.chip
    assert chip is not None
    piv = PivProgram(Card(chip, slots.epoch, None, slots.linger))
    assert took(lambda: piv.ok(0x20, 0, 0x80, PIV_PIN)) >= 0.1
    with ThreadPoolExecutor() as pool:
        made = pool.submit(piv.send, 0x47, 0, 0x9A, bytes.fromhex("AC03800111"))
        until(lambda: slots._busy[chip] > time.monotonic() + 1)
        keyring.unplug(key.name)
        assert made.result(PATIENCE)[1] == 0x6F00


def test_the_slow_key_that_ships(keyring: Keyring, program: Program) -> None:
    key = keyring.new(profile="slow-usb-key")
    program.C_GetSlotList(True, COUNT)
    session = program.open(key.slot, user=CKU.USER)
    made: list[tuple[int, int]] = []
    assert took(lambda: made.append(program.rsa_pair(session, 1024))) >= 1.2
    program.C_SignInit(session, Mechanism(CKM.SHA256_RSA_PKCS, None), made[0][1])
    assert took(lambda: program.C_Sign(session, b"text", ROOM)) >= 0.1
    assert program.find(session, CLASS=int(CKO.PRIVATE_KEY)) == [made[0][1]]
