"""Programs and the card change one key at the same time; each sees a whole key at any moment."""

import threading
from collections.abc import Callable

from piv_program import P256, PivProgram, tlv
from program import PIN, ROOM, SO_PIN, CallError, Program
from two_faces import AUTH, certify, get, occupied, pair, put, shown

from ukey_emulator.cryptoki.wire import Mechanism
from ukey_emulator.terms import CKM, CKO, CKR, CKU

ROUNDS = 25
PRINTED = 0x5FC109


def at_once(*parts: Callable[[], None]) -> None:
    """Carry parts out at the same time; whatever one raises is raised here."""
    faults: list[BaseException] = []

    def guarded(part: Callable[[], None]) -> None:
        try:
            for _ in range(ROUNDS):
                part()
        except BaseException as fault:  # noqa: BLE001 - told to who waits
            faults.append(fault)

    threads = [threading.Thread(target=guarded, args=(part,), daemon=True) for part in parts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    if faults:
        raise faults[0]


def test_keys_come_and_go_on_both_sides(
    program: Program, other_program: Program, piv: PivProgram
) -> None:
    session = program.open(user=CKU.USER)
    other = other_program.open()
    piv.manage()
    piv.verify()
    value = certify(piv.generate(0x95, P256))

    def make_and_destroy() -> None:
        for handle in pair(program, session, b"theirs"):
            program.C_DestroyObject(session, handle)

    def use() -> None:
        other_program.C_Login(other, CKU.USER, PIN)
        for handle in other_program.find(other, CLASS=int(CKO.PRIVATE_KEY)):
            mechanism = Mechanism(CKM.ECDSA, None)
            code = other_program.rv("C_SignInit", other, mechanism, handle)
            assert code in {CKR.OK, CKR.KEY_HANDLE_INVALID}
            if code is CKR.OK:
                other_program.C_Sign(other, bytes(32), ROOM)
        other_program.C_Logout(other)

    def manage() -> None:
        piv.generate(0x82, P256)
        put(piv, 0x5FC10D, tlv(0x70, value))
        put(piv, PRINTED, b"secret")
        assert get(piv, PRINTED) == b"secret"
        assert shown(piv, 0x82) == value
        for slot in (0x82, 0x95):
            assert piv.challenge(slot, P256, bytes(32))[1] == 0x9000
        # It may have been destroyed between two commands, or never seen.
        assert piv.challenge(AUTH, P256, bytes(32))[1] in {0x9000, 0x6A80, 0x6A88}
        put(piv, 0x5FC10D, b"")
        piv.ok(0xF6, 0xFF, 0x82)

    at_once(make_and_destroy, use, manage)
    assert list(occupied(piv)) == [0x95]
    assert len(program.find(session, CLASS=int(CKO.PRIVATE_KEY))) == 1
    assert len(program.find(session, CLASS=int(CKO.PUBLIC_KEY))) == 1
    assert program.find(session, CLASS=int(CKO.CERTIFICATE)) == []


def test_a_wipe_in_the_midst(program: Program, other_program: Program, piv: PivProgram) -> None:
    """C_InitToken while the card works: its commands are done before or after, or refused."""
    other_program.C_GetSlotList(True, ROOM)

    def wipe() -> None:
        code = other_program.rv("C_InitToken", 0, SO_PIN, b"fresh".ljust(32))
        assert code in {CKR.OK, CKR.SESSION_EXISTS}
        piv.send(0x2C, 0x00, 0x80, SO_PIN + b"123456\xff\xff")

    def work() -> None:
        for command in (
            (0x20, 0x00, 0x80, b"123456\xff\xff"),
            (0x47, 0x00, AUTH, tlv(0xAC, tlv(0x80, bytes([P256])))),
            (0xF7, 0x00, AUTH),
            (0xCB, 0x3F, 0xFF, tlv(0x5C, b"\x5f\xc1\x09")),
            (0xDB, 0x3F, 0xFF, tlv(0x5C, b"\x5f\xc1\x09") + tlv(0x53, b"secret")),
        ):
            assert piv.send(*command)[1] not in {0x6F00, 0x6581}

    def program_too() -> None:
        try:
            session = program.open(user=CKU.USER)
            pair(program, session, b"one")
            program.C_CloseSession(session)
        except CallError:
            program.rv("C_CloseAllSessions", 0)

    piv.manage()
    at_once(wipe, work, program_too)
    program.rv("C_CloseAllSessions", 0)
    other_program.C_InitToken(0, SO_PIN, b"last".ljust(32))
    assert occupied(piv) == {}
    piv.ok(0x2C, 0x00, 0x80, SO_PIN + b"123456\xff\xff")
    session = program.open(user=CKU.USER)
    assert program.find(session) == []
