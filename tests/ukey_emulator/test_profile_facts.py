"""What a profile says of a key is what programs see of it, and what it keeps to."""

import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from piv_program import PIN as PIV_PIN
from piv_program import PivProgram
from program import P256, PIN, SO_PIN, Program, attributes

from ukey_emulator.card.card import Card
from ukey_emulator.cryptoki.wire import Mechanism, Out
from ukey_emulator.profiles import Profile, ProfileError
from ukey_emulator.rack.home import RackError
from ukey_emulator.rack.keyring import KeyInfo, Keyring
from ukey_emulator.terms import CKA, CKF, CKM, CKO, CKR, CKU

Plug = Callable[[str], int]
COUNT = Out(asked=True, capacity=None)
ROOM = Out(asked=True, capacity=1000)
TOKEN_INFO = struct.Struct("<32s32s16s16s11Q4B16s4x")
SLOT_INFO = struct.Struct("<64s32sQ4B4x")
READ_WRITE = CKF.SERIAL_SESSION | CKF.RW_SESSION
PROTECTED = CKR.TOKEN_WRITE_PROTECTED
VERIFY, CHANGE = 0x20, 0x24
UNAVAILABLE = 0xFFFFFFFFFFFFFFFF


@pytest.fixture
def plug(keyring: Keyring, program: Program, tmp_path: Path) -> Plug:
    """Plug in a key of a profile with this text; gives its slot."""

    def made(text: str) -> int:
        path = tmp_path / "mine.toml"
        path.write_text(text)
        slot = keyring.new(profile=str(path)).slot
        program.C_GetSlotList(True, COUNT)
        return slot

    return made


def token_info(program: Program, slot: int) -> tuple[int, ...]:
    return TOKEN_INFO.unpack(program.C_GetTokenInfo(slot, True))


def flags(program: Program, slot: int) -> int:
    return token_info(program, slot)[4]


def memory(program: Program, slot: int) -> tuple[int, ...]:
    """Total and free public, total and free private memory."""
    return token_info(program, slot)[11:15]


def data(size: int = 100, *, private: bool = False, token: bool = True) -> list[object]:
    value = {"VALUE": bytes(size), "PRIVATE": private, "TOKEN": token}
    return list(attributes(CLASS=int(CKO.DATA), **value))


LOOKS = """
[token]
manufacturer = "河北CA"
model = "HB-3000"
hardware_version = "2.10"
firmware_version = "3.7"
serial = { prefix = "HB", digits = 10 }
label = "HEBCA {serial}"
[slot]
description = "HEBCA reader of {name}"
manufacturer = "HEBCA"
hardware_version = "1.2"
firmware_version = "4.5"
removable = false
hardware = false
"""


def test_token_and_slot_say_of_themselves_what_the_profile_says(
    keyring: Keyring, program: Program, plug: Plug
) -> None:
    slot = plug(LOOKS)
    label, manufacturer, model, serial, *_ = token_info(program, slot)
    versions = token_info(program, slot)[-5:-1]
    assert manufacturer.decode().rstrip() == "河北CA"
    assert model == b"HB-3000".ljust(16)
    assert versions == (2, 10, 3, 7)
    number = serial.decode().rstrip()
    assert number.startswith("HB")
    assert number[2:].isdigit()
    assert len(number) == 12
    assert label == f"HEBCA {number}".encode().ljust(32)
    description, maker, flagged, *versions = SLOT_INFO.unpack(program.C_GetSlotInfo(slot, True))
    name = keyring.list()[-1].name
    assert description == f"HEBCA reader of {name}".encode().ljust(64)
    assert maker == b"HEBCA".ljust(32)
    assert flagged == CKF.TOKEN_PRESENT
    assert versions == [1, 2, 4, 5]
    keyring.unplug(name)
    # Without its key the slot is still the same.
    assert SLOT_INFO.unpack(program.C_GetSlotInfo(slot, True))[:3] == (description, maker, 0)


def test_a_key_of_a_snapshot_has_all_of_it_too(
    keyring: Keyring, program: Program, plug: Plug
) -> None:
    slot = plug(LOOKS)
    keyring.snapshot(keyring.list()[-1].name, "kept")
    copy = keyring.new_from("kept")
    program.C_GetSlotList(True, COUNT)
    mine, other = token_info(program, slot), token_info(program, copy.slot)
    assert (mine[:3], mine[4:]) == (other[:3], other[4:])
    assert mine[3] != other[3]


def test_serial_numbers_are_those_of_the_rule_and_no_two_alike(tmp_path: Path) -> None:
    path = tmp_path / "few.toml"
    path.write_text("[token]\nserial = { prefix = 'ABCDEF', hex = 4 }")
    rule = Profile.load(str(path)).identity.serials
    drawn = {rule.draw() for _ in range(50)}
    assert all(serial.startswith("ABCDEF") and int(serial, 16) >= 0 for serial in drawn)
    assert {len(serial) for serial in drawn} == {10}
    path.write_text("[token]\nserial = { digits = 4 }")
    rule = Profile.load(str(path)).identity.serials
    with pytest.raises(ProfileError, match="taken"):
        rule.draw({f"{number:04d}" for number in range(10_000)})


def test_pins_have_the_lengths_and_tries_that_the_profile_says(
    keyring: Keyring, program: Program, plug: Plug, tmp_path: Path
) -> None:
    slot = plug(
        '[pins]\nmin = 8\nmax = 12\ntries = 3\nso_tries = 5\nuser = "87654321"\nso = "so-so-so-so"'
    )
    assert token_info(program, slot)[9:11] == (12, 8)
    session = program.open(slot)
    assert program.rv("C_Login", session, CKU.USER, PIN) == CKR.PIN_INCORRECT
    assert program.rv("C_Login", session, CKU.USER, PIN) == CKR.PIN_INCORRECT
    assert flags(program, slot) & CKF.USER_PIN_FINAL_TRY
    program.C_Login(session, CKU.USER, b"87654321")
    for pin in (b"1234567", b"1" * 13):
        assert program.rv("C_SetPIN", session, b"87654321", pin) == CKR.PIN_LEN_RANGE
    program.C_Logout(session)
    for _ in range(4):
        assert program.rv("C_Login", session, CKU.SO, SO_PIN) == CKR.PIN_INCORRECT
    assert flags(program, slot) & CKF.SO_PIN_FINAL_TRY
    program.C_Login(session, CKU.SO, b"so-so-so-so")
    # What somebody asks for himself goes before what the profile says, if the key can have it.
    path = str(tmp_path / "mine.toml")
    own = keyring.new(profile=path, pin="my-own-pin", tries=7)
    program.C_GetSlotList(True, COUNT)
    program.C_Login(program.open(own.slot), CKU.USER, b"my-own-pin")
    with pytest.raises(RackError, match="8 to 12 bytes"):
        keyring.new(profile=path, pin="123456")


def test_a_key_may_come_with_few_tries_left(program: Program, plug: Plug) -> None:
    slot = plug("[pins]\ntries = 5\ntries_left = 1\nso_tries_left = 0")
    session = program.open(slot)
    assert flags(program, slot) & CKF.USER_PIN_FINAL_TRY
    assert flags(program, slot) & CKF.SO_PIN_LOCKED
    program.C_Login(session, CKU.USER, PIN)
    assert not flags(program, slot) & (CKF.USER_PIN_FINAL_TRY | CKF.USER_PIN_COUNT_LOW)
    program.C_Logout(session)
    assert program.rv("C_Login", session, CKU.SO, SO_PIN) == CKR.PIN_LOCKED


def test_only_the_mechanisms_of_the_list_are_there_in_its_order(
    program: Program, plug: Plug
) -> None:
    slot = plug(
        "[mechanisms]\n"
        'only = ["CKM_SHA256", "CKM_RSA_PKCS"]\n'
        'shown = ["CKM_SHA_1", "0x80000001"]\n'
        'order = ["CKM_RSA_PKCS", "0x80000001", "CKM_SHA256", "CKM_SHA_1"]\n'
        '[mechanisms.0x80000001]\nsizes = [1, 2]\nflags = ["CKF_DIGEST"]\n'
    )
    kinds = [CKM.RSA_PKCS, 0x80000001, CKM.SHA256, CKM.SHA_1]
    assert program.C_GetMechanismList(slot, ROOM) == kinds
    info = struct.Struct("<3Q")
    assert info.unpack(program.C_GetMechanismInfo(slot, 0x80000001, True)) == (1, 2, CKF.DIGEST)
    assert info.unpack(program.C_GetMechanismInfo(slot, CKM.SHA_1, True)) == (0, 0, 0)
    session = program.open(slot)
    for kind in (CKM.SHA_1, 0x80000001, CKM.SHA384):
        code = program.rv("C_DigestInit", session, Mechanism(kind, None))
        assert code == CKR.MECHANISM_INVALID
    assert program.rv("C_GetMechanismInfo", slot, CKM.SHA384, True) == CKR.MECHANISM_INVALID
    program.C_DigestInit(session, Mechanism(CKM.SHA256, None))


def test_sizes_and_flags_of_a_mechanism_are_kept_to(program: Program, plug: Plug) -> None:
    slot = plug(
        "[mechanisms.CKM_RSA_PKCS_KEY_PAIR_GEN]\nsizes = [1024, 2048]\n"
        'flags = ["CKF_GENERATE_KEY_PAIR"]\n'
        '[mechanisms.CKM_RSA_PKCS]\nsizes = [2048, 2048]\nflags = ["CKF_HW", "CKF_SIGN"]\n'
        '[mechanisms.CKM_AES_KEY_GEN]\nsizes = [32, 32]\nflags = ["CKF_GENERATE"]\n'
    )
    info = struct.unpack("<3Q", program.C_GetMechanismInfo(slot, CKM.RSA_PKCS, True))
    assert info == (2048, 2048, CKF.HW | CKF.SIGN)
    session = program.open(slot, user=CKU.USER)
    mechanism = Mechanism(CKM.RSA_PKCS_KEY_PAIR_GEN, None)
    large = attributes(MODULUS_BITS=3072)
    code = program.rv("C_GenerateKeyPair", session, mechanism, large, [], True, True)
    assert code == CKR.ATTRIBUTE_VALUE_INVALID
    _, small = program.rsa_pair(session, 1024)
    public, private = program.rsa_pair(session, 2048)
    mechanism = Mechanism(CKM.RSA_PKCS, None)
    assert program.rv("C_SignInit", session, mechanism, small) == CKR.KEY_SIZE_RANGE
    program.C_SignInit(session, mechanism, private)
    assert program.rv("C_VerifyInit", session, mechanism, public) == CKR.MECHANISM_INVALID
    mechanism = Mechanism(CKM.AES_KEY_GEN, None)
    for size, code in ((16, CKR.ATTRIBUTE_VALUE_INVALID), (32, CKR.OK)):
        wanted = attributes(VALUE_LEN=size)
        assert program.rv("C_GenerateKey", session, mechanism, wanted, True) == code


def test_memory_is_counted_and_comes_to_an_end(program: Program, plug: Plug) -> None:
    assert memory(program, 0) == (UNAVAILABLE,) * 4
    slot = plug("[memory]\npublic = 1000\nprivate = 600")
    assert memory(program, slot) == (1000, 1000, 600, 600)
    session = program.open(slot, user=CKU.USER)
    first = program.C_CreateObject(session, data(300), True)
    _, free, _, private = memory(program, slot)
    assert 1000 - 300 - 300 < free < 1000 - 300
    assert private == 600
    # What belongs to a session takes no memory of the token.
    program.C_CreateObject(session, data(5000, token=False), True)
    assert program.rv("C_CreateObject", session, data(900), True) == CKR.DEVICE_MEMORY
    assert program.rv("C_CreateObject", session, data(600, private=True), True) == CKR.DEVICE_MEMORY
    longer = attributes(VALUE=bytes(1000))
    assert program.rv("C_SetAttributeValue", session, first, longer) == CKR.DEVICE_MEMORY
    assert program.read(session, first, CKA.VALUE) == bytes(300)
    assert memory(program, slot) == (1000, free, 600, 600)
    program.C_CreateObject(session, data(100, private=True), True)
    assert memory(program, slot)[3] < 600 - 100
    program.C_DestroyObject(session, first)
    assert memory(program, slot)[1] == 1000


def test_a_pair_finds_room_whole_or_not_at_all(program: Program, plug: Plug) -> None:
    slot = plug("[memory]\nprivate = 300")
    session = program.open(slot, user=CKU.USER)
    mechanism = Mechanism(CKM.RSA_PKCS_KEY_PAIR_GEN, None)
    both = attributes(TOKEN=True, MODULUS_BITS=1024), attributes(TOKEN=True)
    code = program.rv("C_GenerateKeyPair", session, mechanism, *both, True, True)
    assert code == CKR.DEVICE_MEMORY
    assert program.find(session) == []


def test_no_more_sessions_than_the_profile_allows(
    program: Program, other_program: Program, plug: Plug
) -> None:
    slot = plug("[sessions]\nmax = 3\nmax_rw = 1")
    assert token_info(program, slot)[5::2][:2] == (3, 1)
    writable = program.open(slot)
    assert program.rv("C_OpenSession", slot, READ_WRITE, True) == CKR.SESSION_COUNT
    program.open(slot, writable=False)
    program.open(slot, writable=False)
    assert program.rv("C_OpenSession", slot, CKF.SERIAL_SESSION, True) == CKR.SESSION_COUNT
    program.C_CloseSession(writable)
    program.open(slot)
    other_program.C_GetSlotList(True, COUNT)
    other_program.open(slot)  # the limit is each program's own


def test_nothing_is_written_on_a_key_that_is_write_protected(
    keyring: Keyring, program: Program, plug: Plug
) -> None:
    plug("[token]\nwrite_protected = true")
    keyring.snapshot("key", "full")
    first = program.open(user=CKU.USER)
    program.C_CreateObject(first, data(), True)
    keyring.snapshot("key", "full-2")
    name = keyring.list()[-1].name
    keyring.rewind(name, "full-2")
    slot = keyring.list()[-1].slot
    assert flags(program, slot) & CKF.WRITE_PROTECTED
    assert not flags(program, 0) & CKF.WRITE_PROTECTED
    assert program.rv("C_OpenSession", slot, READ_WRITE, True) == PROTECTED
    assert program.rv("C_InitToken", slot, SO_PIN, b"new".ljust(32)) == PROTECTED
    session = program.open(slot, writable=False, user=CKU.USER)
    (obj,) = program.find(session)
    mechanism, curve = Mechanism(CKM.EC_KEY_PAIR_GEN, None), attributes(EC_PARAMS=P256)
    for name, *arguments in (
        ("C_CreateObject", data(), True),
        ("C_CopyObject", obj, [], True),
        ("C_SetAttributeValue", obj, attributes(LABEL="new")),
        ("C_DestroyObject", obj),
        ("C_GenerateKeyPair", mechanism, curve, attributes(TOKEN=True), True, True),
        ("C_SetPIN", PIN, b"654321"),
        ("C_InitPIN", b"654321"),
    ):
        assert program.rv(name, session, *arguments) == PROTECTED, name
    program.C_CreateObject(session, data(token=False), True)
    assert program.read(session, obj, CKA.VALUE) == bytes(100)


def test_a_write_protected_card_takes_nothing_either(keyring: Keyring, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("[token]\nwrite_protected = true")
    card = card_of(keyring, keyring.new(profile=str(path)))
    piv = PivProgram(card)
    piv.ok(VERIFY, 0x00, 0x80, PIV_PIN)
    assert piv.send(CHANGE, 0x00, 0x80, PIV_PIN + b"654321\xff\xff")[1] == 0x6985


def card_of(keyring: Keyring, key: KeyInfo) -> Card:
    slot = keyring._slots.get(key.slot)
    assert slot is not None
    assert slot.chip is not None
    card = Card(slot.chip, keyring._slots.epoch)
    card.power_on()
    return card


def test_what_else_a_key_may_lack(program: Program, plug: Plug) -> None:
    lacking = CKF.RNG | CKF.RESTORE_KEY_NOT_NEEDED | CKF.DUAL_CRYPTO_OPERATIONS
    assert flags(program, 0) & lacking == lacking
    slot = plug("[token]\nrng = false\ndual_crypto = false\nsaves_digests = false")
    assert not flags(program, slot) & lacking
    session = program.open(slot)
    assert program.rv("C_GenerateRandom", session, 8) == CKR.RANDOM_NO_RNG
    assert program.rv("C_SeedRandom", session, b"seed") == CKR.RANDOM_NO_RNG
    program.C_DigestInit(session, Mechanism(CKM.SHA256, None))
    assert program.rv("C_GetOperationState", session, ROOM) == CKR.STATE_UNSAVEABLE
    code = program.rv("C_DigestEncryptUpdate", session, b"part", ROOM)
    assert code == CKR.FUNCTION_NOT_SUPPORTED
