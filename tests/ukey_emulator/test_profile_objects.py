"""The profile objects that each key shows."""

import struct
from pathlib import Path

import pytest
from program import SO_PIN, Program, attributes

from ukey_emulator.chip import Chip
from ukey_emulator.cryptoki.wire import Out
from ukey_emulator.profiles import Profile
from ukey_emulator.rack.keyring import Keyring
from ukey_emulator.terms import CKA, CKM, CKO, CKP, CKR, CKU

PROFILE = {"CLASS": int(CKO.PROFILE)}
COUNT = Out(asked=True, capacity=None)
SHOWN = {
    CKP.BASELINE_PROVIDER,
    CKP.EXTENDED_PROVIDER,
    CKP.AUTHENTICATION_TOKEN,
    CKP.HKDF_TLS_TOKEN,
}


def shown(program: Program, session: int) -> list[int]:
    found = program.find(session, **PROFILE)
    values = [program.read(session, each, CKA.PROFILE_ID) for each in found]
    return [struct.unpack("<Q", value)[0] for value in values]


def test_the_profiles_are_shown_without_a_login_each_once(program: Program) -> None:
    session = program.open(writable=False)
    assert sorted(shown(program, session)) == sorted(SHOWN)
    # Who looks for objects of any kind, to destroy them perhaps, does not find these.
    assert program.find(session) == program.find(session, TOKEN=True) == []
    assert program.find(session, **PROFILE, PRIVATE=True) == []
    assert len(program.find(session, PROFILE_ID=int(CKP.HKDF_TLS_TOKEN))) == 1
    assert program.find(session, PROFILE_ID=int(CKP.COMPLETE_PROVIDER)) == []
    names = {
        program.read(session, each, CKA.UNIQUE_ID) for each in program.find(session, **PROFILE)
    }
    assert len(names) == len(SHOWN)
    assert b"" not in names


@pytest.mark.parametrize("user", [CKU.USER, CKU.SO])
def test_no_program_makes_changes_copies_or_destroys_one(program: Program, user: CKU) -> None:
    session = program.open(user=user)
    before = program.find(session, **PROFILE)
    first, *_ = before
    template = attributes(**PROFILE, PROFILE_ID=int(CKP.COMPLETE_PROVIDER))
    assert program.rv("C_CreateObject", session, template, True) != CKR.OK
    prohibited = CKR.ACTION_PROHIBITED
    for changes in (attributes(LABEL="mine"), attributes(PROFILE_ID=5), []):
        assert program.rv("C_SetAttributeValue", session, first, changes) == prohibited
        assert program.rv("C_CopyObject", session, first, changes, True) == prohibited
    assert program.rv("C_DestroyObject", session, first) == prohibited
    assert program.find(session, **PROFILE) == before
    assert program.read(session, first, CKA.LABEL) == b"Baseline Provider"


def test_a_token_that_is_initialised_anew_shows_each_once(program: Program) -> None:
    program.C_InitToken(0, SO_PIN, b"again".ljust(32))
    session = program.open()
    assert sorted(shown(program, session)) == sorted(SHOWN)


def test_a_token_shows_them_from_its_first_initialisation_on(
    keyring: Keyring, program: Program
) -> None:
    slot = keyring.new(name="blank", initialized=False).slot
    program.C_GetSlotList(True, COUNT)
    assert program.rv("C_OpenSession", slot, 6, True) == CKR.TOKEN_NOT_RECOGNIZED
    program.C_InitToken(slot, SO_PIN, b"first".ljust(32))
    assert sorted(shown(program, program.open(slot))) == sorted(SHOWN)


def test_two_keys_have_objects_of_their_own(keyring: Keyring, program: Program) -> None:
    slot = keyring.new(name="second").slot
    program.C_GetSlotList(True, COUNT)
    first, second = program.open(), program.open(slot)
    mine, theirs = program.find(first, **PROFILE), program.find(second, **PROFILE)
    assert not set(mine) & set(theirs)
    assert program.rv("C_GetAttributeValue", second, mine[0], []) == CKR.OBJECT_HANDLE_INVALID


@pytest.mark.parametrize(
    ("without", "missing"),
    [
        (CKM.SHA512, CKP.EXTENDED_PROVIDER),
        (CKM.SHA256_RSA_PKCS, CKP.AUTHENTICATION_TOKEN),
        (CKM.HKDF_DATA, CKP.HKDF_TLS_TOKEN),
        (CKM.AES_ECB, None),
    ],
)
def test_a_key_without_a_mechanism_claims_less(
    tmp_path: Path, without: CKM, missing: CKP | None
) -> None:
    profile = Profile.of({"mechanisms": {"off": [f"CKM_{without.name}"]}}, tmp_path)
    chip = Chip.make(tmp_path / "key", "1", "label", profile=profile.facts)
    asked = {CKA.CLASS: struct.pack("<Q", CKO.PROFILE)}
    found = {obj.attributes[CKA.PROFILE_ID] for obj in chip.find(asked, private=False)}
    chip.close()
    assert found == {struct.pack("<Q", each) for each in SHOWN - {missing}}
