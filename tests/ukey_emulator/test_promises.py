"""Operations that the module says are begun, and that the rack begins with the next call."""

import ctypes
import threading
import time
from collections.abc import Callable, Iterator
from ctypes import byref, c_ulong
from pathlib import Path
from typing import Any

import module_host as host
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature
from module_host import OK, attributes, mechanism
from recalling import KEY, RSA, S, Side, World, length

from ukey_emulator.terms import CKA, CKM, CKR

ECDSA = mechanism(int(CKM.ECDSA))
DIGEST = bytes(range(32))


@pytest.fixture
def side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Side]:
    monkeypatch.setenv("UKEY_HOME", str(tmp_path))
    made = Side(tmp_path)
    made.face.answers["C_Sign"] = lambda _s, _data, out: (
        OK,
        (256 if out.capacity is None else bytes(256),),
    )
    yield made
    made.close()


@pytest.fixture
def module(side: Side, tmp_path: Path) -> Iterator[host.Module]:
    assert side.server  # it must be there first
    loaded = host.Module(tmp_path)
    assert loaded.C_Initialize(None) == OK
    yield loaded
    loaded.C_Finalize(None)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setenv("UKEY_HOME", str(tmp_path / "home"))
    made = World(tmp_path / "home", tmp_path)
    yield made
    made.close()


def begin(module: host.Module, session: int = S, key: int = KEY) -> int:
    return int(module.C_SignInit(session, mechanism(RSA), key))


def sign(module: host.Module, session: int = S, data: bytes = DIGEST) -> tuple[int, bytes]:
    room, size = ctypes.create_string_buffer(256), c_ulong(256)
    rv = int(module.C_Sign(session, data, len(data), room, byref(size)))
    return rv, room.raw[: size.value] if rv == OK else b""


def elsewhere(work: Callable[[], object]) -> None:
    """Do something in a thread of its own."""
    thread = threading.Thread(target=work)
    thread.start()
    thread.join(20)
    assert not thread.is_alive()


def names(side: Side) -> list[str]:
    return [name for name, _ in side.face.calls]


def signed_before(module: host.Module) -> None:
    assert begin(module) == OK
    assert sign(module)[0] == OK


# With a scripted face, which tells when calls are made.


def test_what_is_begun_again_is_begun_with_the_next_call(side: Side, module: host.Module) -> None:
    signed_before(module)
    for _ in range(2):
        made = len(side.face.calls)
        assert begin(module) == OK
        assert len(side.face.calls) == made
        assert length(module) == (OK, 256)
        assert sign(module)[0] == OK
    assert [name for name in names(side) if name == "C_SignInit"] == ["C_SignInit"] * 3
    assert names(side)[-2:] == ["C_SignInit", "C_Sign"]


@pytest.mark.parametrize(
    "other",
    [
        lambda module: module.C_SignUpdate(S, b"part", 4),
        lambda module: module.C_Logout(S),
        lambda module: module.C_DigestInit(S, mechanism(int(CKM.SHA256))),
        lambda module: module.C_CloseSession(S),
    ],
)
def test_whatever_comes_next_comes_after_it(
    side: Side, module: host.Module, other: Callable[[host.Module], int]
) -> None:
    signed_before(module)
    assert begin(module) == OK
    other(module)
    assert names(side)[-2] == "C_SignInit"


@pytest.mark.parametrize(
    "between",
    [
        lambda module, _: begin(module),
        lambda module, _: module.C_SignUpdate(S, b"part", 4),
        lambda module, _: module.C_SessionCancel(S, 0x800),
        lambda module, _: module.C_SetOperationState(S, b"state", 5, 0, 0),
        lambda _, side: side.epoch.advance(),
    ],
)
def test_nothing_is_promised_that_could_be_refused(
    side: Side, module: host.Module, between: Callable[[host.Module, Side], object]
) -> None:
    signed_before(module)
    between(module, side)
    made = len(side.face.calls)
    side.face.answers["C_SignInit"] = (int(CKR.OPERATION_ACTIVE), ())
    assert begin(module) == CKR.OPERATION_ACTIVE
    assert names(side)[made:][-1] == "C_SignInit"


@pytest.mark.parametrize(
    "again", [{"session": S + 1}, {"key": KEY + 1}, {"session": S + 1, "key": KEY + 1}]
)
def test_only_the_same_is_promised(side: Side, module: host.Module, again: dict[str, int]) -> None:
    signed_before(module)
    made = len(side.face.calls)
    assert begin(module, **again) == OK
    assert len(side.face.calls) == made + 1


def test_an_operation_that_went_wrong_is_not_known_to_be_over(
    side: Side, module: host.Module
) -> None:
    signed_before(module)
    good = side.face.answers["C_Sign"]
    side.face.answers["C_Sign"] = (int(CKR.BUFFER_TOO_SMALL), (256,))
    assert begin(module) == OK
    assert sign(module)[0] == CKR.BUFFER_TOO_SMALL
    side.face.answers["C_Sign"] = good
    made = len(side.face.calls)
    begin(module)
    assert len(side.face.calls) == made + 1


def test_a_thread_that_begins_finds_it_done(side: Side, module: host.Module) -> None:
    signed_before(module)
    assert begin(module) == OK
    seen: list[list[str]] = []

    def look() -> None:
        module.C_GetSlotList(True, None, byref(c_ulong()))
        seen.append(names(side))

    elsewhere(look)
    assert seen == [["C_SignInit", "C_Sign", "C_SignInit", "C_GetSlotList"]]


def test_nothing_is_promised_while_there_are_other_threads(side: Side, module: host.Module) -> None:
    begun, over = threading.Event(), threading.Event()

    def stay() -> None:
        module.C_GetSlotList(True, None, byref(c_ulong()))
        begun.set()
        over.wait(20)

    thread = threading.Thread(target=stay)
    thread.start()
    assert begun.wait(20)
    for _ in range(3):
        signed_before(module)
        assert names(side)[-2:] == ["C_SignInit", "C_Sign"]
        made = len(side.face.calls)
        assert begin(module) == OK
        assert len(side.face.calls) == made + 1
        sign(module)
    over.set()
    thread.join(20)


def test_a_thread_that_ends_leaves_it_done(side: Side, module: host.Module) -> None:
    def work() -> None:
        signed_before(module)
        assert begin(module) == OK

    elsewhere(work)
    deadline = time.monotonic() + 20
    while len(side.face.calls) < 3:  # Python has seen it end before it does
        assert time.monotonic() < deadline
        time.sleep(0.001)
    assert names(side) == ["C_SignInit", "C_Sign", "C_SignInit"]


def test_who_waits_for_a_slot_leaves_it_done(side: Side, module: host.Module) -> None:
    waits, comes = threading.Event(), threading.Event()

    def wait(*_: Any) -> tuple[int, tuple[Any, ...]]:
        waits.set()
        comes.wait(20)
        return OK, (0,)

    side.face.answers["C_WaitForSlotEvent"] = wait

    def work() -> None:
        signed_before(module)
        assert begin(module) == OK
        assert module.C_WaitForSlotEvent(0, byref(c_ulong()), None) == OK

    thread = threading.Thread(target=work)
    thread.start()
    assert waits.wait(20)
    elsewhere(lambda: module.C_GetSlotList(True, None, byref(c_ulong())))
    assert names(side)[2] == "C_SignInit"
    comes.set()
    thread.join(20)


# With the real face.


def pair(module: host.Module, session: int) -> tuple[int, ec.EllipticCurvePublicKey]:
    """Make a P-256 pair: the private key's handle, the public key."""
    p256 = bytes.fromhex("06082a8648ce3d030107")
    public, private = c_ulong(), c_ulong()
    token = (int(CKA.TOKEN), b"\1")
    assert (
        module.C_GenerateKeyPair(
            session,
            mechanism(int(CKM.EC_KEY_PAIR_GEN)),
            attributes((int(CKA.EC_PARAMS), p256), token),
            2,
            attributes(token, (int(CKA.LABEL), b"signer")),
            2,
            byref(public),
            byref(private),
        )
        == OK
    )
    point = ctypes.create_string_buffer(67)
    query = attributes((int(CKA.EC_POINT), (point, 67)))
    assert module.C_GetAttributeValue(session, public.value, query, 1) == OK
    key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point.raw[2:67])
    return private.value, key


def verifies(key: ec.EllipticCurvePublicKey, signature: bytes, digest: bytes) -> None:
    halves = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    key.verify(encode_dss_signature(*halves), digest, ec.ECDSA(Prehashed(hashes.SHA256())))


def test_every_signature_is_of_its_own_data(world: World) -> None:
    module, session = world.program()
    keys = [pair(module, session) for _ in range(2)]
    for number in range(40):
        private, public = keys[number // 3 % 2]
        digest = bytes([number]) * 32
        assert module.C_SignInit(session, ECDSA, private) == OK
        rv, signature = sign(module, session, digest)
        assert rv == OK
        verifies(public, signature, digest)


def test_all_calls_stand_in_the_trace_in_their_order(world: World) -> None:
    module, session = world.program()
    private, _ = pair(module, session)
    last = world.rack.trace.since(0)[-1]["n"]
    for _ in range(3):
        assert module.C_SignInit(session, ECDSA, private) == OK
        assert length(module, DIGEST, session) == (OK, 64)
        assert sign(module, session)[0] == OK
    calls = world.rack.trace.since(last)
    assert [call["function"] for call in calls] == ["C_SignInit", "C_Sign", "C_Sign"] * 3
    assert {call["rv"] for call in calls} == {"CKR_OK"}
    assert calls[6]["arguments"] == calls[0]["arguments"]
    assert calls[8]["arguments"] == calls[2]["arguments"]
    assert calls[8]["us"] > 0


def test_it_is_active_for_the_next_one_that_begins(world: World) -> None:
    module, session = world.program()
    private, _ = pair(module, session)
    for _ in range(3):
        assert module.C_SignInit(session, ECDSA, private) == OK
        assert module.C_SignInit(session, ECDSA, private) == CKR.OPERATION_ACTIVE
        assert sign(module, session)[0] == OK
    assert sign(module, session)[0] == CKR.OPERATION_NOT_INITIALIZED


def test_a_wrong_call_of_it_is_refused_as_ever(world: World) -> None:
    module, session = world.program()
    private, public = pair(module, session)
    size = c_ulong(10)
    for _ in range(3):
        assert module.C_SignInit(session, ECDSA, private) == OK
        rv = module.C_Sign(session, DIGEST, 32, ctypes.create_string_buffer(10), byref(size))
        assert (rv, size.value) == (CKR.BUFFER_TOO_SMALL, 64)
        rv, signature = sign(module, session)
        assert rv == OK
        verifies(public, signature, DIGEST)
        size.value = 10
    assert module.C_SignInit(session, ECDSA, private) == OK
    room, size.value = ctypes.create_string_buffer(64), 64
    assert module.C_Sign(session, None, 32, room, byref(size)) == CKR.ARGUMENTS_BAD
    assert sign(module, session)[0] == CKR.OPERATION_NOT_INITIALIZED


def test_ending_what_is_not_begun_is_refused_every_time(world: World) -> None:
    module, session = world.program()
    private, _ = pair(module, session)
    for _ in range(3):
        assert module.C_SignInit(session, ECDSA, private) == OK
        assert module.C_SignInit(session, None, 0) == OK
        assert module.C_SignInit(session, ECDSA, private) == OK
        assert sign(module, session)[0] == OK
        assert module.C_SignInit(session, None, 0) == CKR.ARGUMENTS_BAD


def test_parts_may_follow(world: World) -> None:
    module, session = world.program()
    private, public = pair(module, session)
    for _ in range(3):
        assert module.C_SignInit(session, ECDSA, private) == OK
        assert sign(module, session)[0] == OK
    assert module.C_SignInit(session, ECDSA, private) == OK
    assert module.C_SignUpdate(session, DIGEST, 16) == OK
    assert module.C_SignUpdate(session, DIGEST[16:], 16) == OK
    room, size = ctypes.create_string_buffer(64), c_ulong(64)
    assert module.C_SignFinal(session, room, byref(size)) == OK
    verifies(public, room.raw, DIGEST)


def test_a_key_that_was_destroyed_meanwhile_signs_no_more(world: World) -> None:
    (one, s1), (two, s2) = world.program(), world.program()
    private, _ = pair(one, s1)
    assert one.C_SignInit(s1, ECDSA, private) == OK
    assert sign(one, s1)[0] == OK
    template, found = attributes((int(CKA.LABEL), b"signer")), c_ulong()
    assert two.C_FindObjectsInit(s2, template, 1) == OK
    assert two.C_FindObjects(s2, byref(found), 1, byref(c_ulong())) == OK
    assert two.C_FindObjectsFinal(s2) == OK
    assert one.C_SignInit(s1, ECDSA, private) == OK
    assert two.C_DestroyObject(s2, found.value) == OK
    assert sign(one, s1)[0] == CKR.OPERATION_NOT_INITIALIZED
    assert one.C_SignInit(s1, ECDSA, private) == CKR.KEY_HANDLE_INVALID


def test_a_key_that_was_pulled_out_meanwhile_signs_no_more(world: World) -> None:
    module, session = world.program()
    private, _ = pair(module, session)
    for _ in range(2):
        assert module.C_SignInit(session, ECDSA, private) == OK
        assert sign(module, session)[0] == OK
    assert module.C_SignInit(session, ECDSA, private) == OK
    world.rack.keys.unplug("key")
    assert sign(module, session)[0] == CKR.DEVICE_REMOVED
    assert module.C_SignInit(session, ECDSA, private) == CKR.SESSION_HANDLE_INVALID


def test_a_logout_ends_it(world: World) -> None:
    module, session = world.program()
    private, _ = pair(module, session)
    for _ in range(2):
        assert module.C_SignInit(session, ECDSA, private) == OK
        assert sign(module, session)[0] == OK
    assert module.C_SignInit(session, ECDSA, private) == OK
    assert module.C_Logout(session) == OK
    assert sign(module, session)[0] == CKR.OPERATION_NOT_INITIALIZED
    assert module.C_SignInit(session, ECDSA, private) == CKR.KEY_HANDLE_INVALID
