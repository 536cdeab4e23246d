"""What each mechanism declares is what it does, and the other way round."""

import struct
from pathlib import Path

import pytest
from program import PIN, ROOM, SO_PIN, Program, attributes

from ukey_emulator.chip.chip import Chip
from ukey_emulator.chip.factory import Factory
from ukey_emulator.chip.mechanisms import MECHANISMS, Mechanism
from ukey_emulator.chip.objects.rules import TABLES
from ukey_emulator.cryptoki import wire
from ukey_emulator.cryptoki.face import Face
from ukey_emulator.cryptoki.wire import Out
from ukey_emulator.profiles import Profile
from ukey_emulator.slots import Slots
from ukey_emulator.terms import CKF, CKM, CKO, CKR, CKU

# Each flag and the operations of which one at least must be written for it.
OPERATIONS = {
    CKF.DIGEST: ("digest",),
    CKF.SIGN: ("sign",),
    CKF.VERIFY: ("verify",),
    CKF.SIGN_RECOVER: ("sign_recover",),
    CKF.VERIFY_RECOVER: ("recover",),
    CKF.ENCRYPT: ("encrypt",),
    CKF.DECRYPT: ("decrypt",),
    CKF.GENERATE: ("generate",),
    CKF.GENERATE_KEY_PAIR: ("generate_pair",),
    CKF.ENCAPSULATE: ("encapsulate",),
    CKF.DECAPSULATE: ("decapsulate",),
    CKF.MESSAGE_ENCRYPT: ("seal_messages",),
    CKF.MESSAGE_DECRYPT: ("open_messages",),
    CKF.MESSAGE_SIGN: ("sign",),
    CKF.MESSAGE_VERIFY: ("verify",),
}
PAIRS = (
    (CKF.ENCRYPT, CKF.DECRYPT),
    (CKF.SIGN, CKF.VERIFY),
    (CKF.WRAP, CKF.UNWRAP),
    (CKF.ENCAPSULATE, CKF.DECAPSULATE),
    (CKF.SIGN, CKF.MESSAGE_SIGN),
)


def writes(mechanism: Mechanism, operation: str) -> bool:
    return getattr(type(mechanism), operation) is not getattr(Mechanism, operation)


@pytest.mark.parametrize("mechanism", MECHANISMS.values(), ids=lambda m: m.kind.name)
def test_flags_are_what_is_written(mechanism: Mechanism) -> None:
    for flag, operations in OPERATIONS.items():
        for operation in operations:
            declared = bool(mechanism.flags & flag)
            # An AEAD writes messages for all, a cipher that wraps writes encryption for that.
            if not declared and operation in ("encrypt", "decrypt") and mechanism.flags & CKF.WRAP:
                continue
            assert writes(mechanism, operation) == declared, (flag.name, operation)
    for one, other in PAIRS:
        assert bool(mechanism.flags & one) == bool(mechanism.flags & other)
    if mechanism.flags & CKF.WRAP:
        assert writes(mechanism, "wrap") or writes(mechanism, "encrypt")
    if mechanism.flags & CKF.DERIVE and mechanism.makes != CKO.PUBLIC_KEY:
        assert writes(mechanism, "derive") or writes(mechanism, "derive_with")
    smallest, largest = mechanism.sizes
    assert 0 <= smallest <= largest
    if not mechanism.flags & CKF.DIGEST:
        assert mechanism.key_types


def test_every_key_type_of_a_mechanism_is_kept() -> None:
    kept = {key_type for _, key_type in TABLES}
    for mechanism in MECHANISMS.values():
        assert set(mechanism.key_types) <= kept, mechanism.kind.name


def test_the_list_and_each_info(program: Program) -> None:
    kinds = program.C_GetMechanismList(0, Out(True, 1000))
    assert len(kinds) == len(set(kinds)) == len(MECHANISMS)
    for kind in kinds:
        smallest, largest, flags = struct.unpack("<3Q", program.C_GetMechanismInfo(0, kind, True))
        assert (smallest, largest) == MECHANISMS[kind].sizes
        assert flags == MECHANISMS[kind].flags | CKF.HW
    assert program.rv("C_GetMechanismInfo", 0, CKM.RC4, True) == CKR.MECHANISM_INVALID


REFUSED = (
    CKR.MECHANISM_PARAM_INVALID,
    CKR.TEMPLATE_INCOMPLETE,
    CKR.TEMPLATE_INCONSISTENT,
)

INITS = {
    "C_EncryptInit": CKF.ENCRYPT,
    "C_DecryptInit": CKF.DECRYPT,
    "C_SignInit": CKF.SIGN,
    "C_VerifyInit": CKF.VERIFY,
    "C_SignRecoverInit": CKF.SIGN_RECOVER,
    "C_VerifyRecoverInit": CKF.VERIFY_RECOVER,
    "C_MessageEncryptInit": CKF.MESSAGE_ENCRYPT,
    "C_MessageDecryptInit": CKF.MESSAGE_DECRYPT,
    "C_MessageSignInit": CKF.MESSAGE_SIGN,
    "C_MessageVerifyInit": CKF.MESSAGE_VERIFY,
}


@pytest.mark.parametrize("kind", MECHANISMS, ids=lambda kind: CKM(kind).name)
def test_no_mechanism_does_what_it_does_not_declare(program: Program, kind: int) -> None:
    session = program.open(user=CKU.USER)
    flags = MECHANISMS[kind].flags
    mechanism = wire.Mechanism(kind, None)
    for name, flag in INITS.items():
        expected = CKR.KEY_HANDLE_INVALID if flags & flag else CKR.MECHANISM_INVALID
        assert program.rv(name, session, mechanism, 999) == expected
    if not flags & CKF.DIGEST:
        assert program.rv("C_DigestInit", session, mechanism) == CKR.MECHANISM_INVALID
    for name, flag, arguments in (
        ("C_GenerateKey", CKF.GENERATE, ([], True)),
        ("C_GenerateKeyPair", CKF.GENERATE_KEY_PAIR, ([], [], True, True)),
        ("C_WrapKey", CKF.WRAP, (999, 999, ROOM)),
        ("C_UnwrapKey", CKF.UNWRAP, (999, b"", [], True)),
        ("C_DeriveKey", CKF.DERIVE, (999, [], True)),
        ("C_EncapsulateKey", CKF.ENCAPSULATE, (999, [], ROOM, True)),
        ("C_DecapsulateKey", CKF.DECAPSULATE, (999, [], b"", True)),
    ):
        code = program.rv(name, session, mechanism, *arguments)
        if flags & flag:
            assert code != CKR.MECHANISM_INVALID
        else:
            assert code == CKR.MECHANISM_INVALID


@pytest.mark.parametrize("kind", MECHANISMS, ids=lambda kind: CKM(kind).name)
def test_parameters_of_no_sense_are_refused_and_harm_nothing(program: Program, kind: int) -> None:
    session = program.open(user=CKU.USER)
    flags = MECHANISMS[kind].flags
    for parameter in (b"\xff" * 7, wire.Misfit(48), wire.Parameter("GCM_SHORT", (None, None, 1))):
        mechanism = wire.Mechanism(kind, parameter)
        if flags & CKF.GENERATE:
            template = attributes(VALUE_LEN=16)
            code = program.rv("C_GenerateKey", session, mechanism, template, True)
            assert code in REFUSED
        if flags & CKF.GENERATE_KEY_PAIR:
            arguments = (session, mechanism, [], [], True, True)
            assert program.rv("C_GenerateKeyPair", *arguments) in REFUSED
        if flags & CKF.DIGEST:
            assert program.rv("C_DigestInit", session, mechanism) == CKR.MECHANISM_PARAM_INVALID
    assert program.find(session) == []


def test_a_key_without_some_mechanisms(tmp_path: Path) -> None:
    without = (CKM.AES_ECB, CKM.SHA_1, CKM.EC_KEY_PAIR_GEN)
    path = tmp_path / "key"
    profile = Profile.of({"mechanisms": {"off": [f"CKM_{kind.name}" for kind in without]}}, path)
    Chip.make(path, "1", "label", Factory.of(PIN, SO_PIN, 10), profile=profile.facts).close()
    chip = Chip.open(path)
    slots = Slots()
    slots.plug(slots.add("slot"), chip)
    program = Program(Face(slots, lambda *_: None))
    kinds = program.C_GetMechanismList(0, Out(True, 1000))
    assert not set(without) & set(kinds)
    assert len(kinds) == len(MECHANISMS) - 3
    session = program.open(user=CKU.USER)
    for kind in without:
        assert program.rv("C_GetMechanismInfo", 0, kind, True) == CKR.MECHANISM_INVALID
    mechanism = wire.Mechanism(CKM.SHA_1, None)
    assert program.rv("C_DigestInit", session, mechanism) == CKR.MECHANISM_INVALID
    mechanism = wire.Mechanism(CKM.EC_KEY_PAIR_GEN, None)
    arguments = (session, mechanism, [], [], True, True)
    assert program.rv("C_GenerateKeyPair", *arguments) == CKR.MECHANISM_INVALID
    mechanism = wire.Mechanism(CKM.AES_ECB, None)
    assert program.rv("C_EncryptInit", session, mechanism, 999) == CKR.MECHANISM_INVALID
    chip.close()
