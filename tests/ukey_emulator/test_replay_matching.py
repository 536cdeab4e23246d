"""Which call of a recording answers which call of a program, and what is told as a difference."""

import itertools
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ukey_emulator.cryptoki.wire import FUNCTIONS, Attribute, Mechanism, Misfit, Out
from ukey_emulator.recording.device import RecordedFace
from ukey_emulator.recording.differences import Difference
from ukey_emulator.recording.file import Call, Recording, RecordingError
from ukey_emulator.recording.timing import as_toml, timings
from ukey_emulator.terms import CKA, CKM, CKR

NAMED = {function.name: function for function in FUNCTIONS.values()}
ROOM = Out(asked=True, capacity=256)
LENGTH = Out(asked=True, capacity=None)
SIGN = Mechanism(CKM.SHA256_RSA_PKCS, None)


class Scene:
    """A recording that is written by hand: programs, their threads, their calls."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self._numbers = itertools.count(1)

    def call(
        self,
        name: str,
        arguments: tuple[Any, ...] = (),
        results: tuple[Any, ...] = (),
        *,
        rv: int = 0,
        program: str = "program",
        pid: int = 1,
        tid: int = 1,
        us: int = 10,
    ) -> None:
        n = next(self._numbers)
        call = Call(n, float(n), us, pid, tid, program, NAMED[name], rv, b"", b"")
        call.__dict__.update(arguments=arguments, results=results)
        self.calls.append(call)

    def session(self, session: int, *data: bytes, **who: Any) -> None:
        """Record a session that signs."""
        self.call("C_OpenSession", (0, 4, True), (session,), **who)
        for each in data:
            self.call("C_SignInit", (session, SIGN, 9), **who)
            self.call("C_Sign", (session, each, ROOM), (b"signed " + each,), **who)
        self.call("C_CloseSession", (session,), **who)

    def life(self, record: Callable[[], None], **who: Any) -> None:
        self.call("C_Initialize", **who)
        record()
        self.call("C_Finalize", **who)

    def face(self, level: str = "replay") -> RecordedFace:
        return RecordedFace(Recording(level, "", [], self.calls, 0))


def work(face: RecordedFace, player: Any, session: int, *data: bytes) -> list[Any]:
    """Do what `Scene.session` records, but for opening."""
    signed = []
    for each in data:
        face.call(player, "C_SignInit", (session, SIGN, 9))
        signed.append(face.call(player, "C_Sign", (session, each, ROOM)))
    face.call(player, "C_CloseSession", (session,))
    return signed


def opened(face: RecordedFace, player: Any) -> int:
    rv, (session,) = face.call(player, "C_OpenSession", (0, 4, True))
    assert rv == CKR.OK
    return int(session)


def test_a_program_gets_what_it_got() -> None:
    scene = Scene()
    scene.life(lambda: scene.session(5, b"one", b"two"))
    face = scene.face()
    player = face.attach(b"", 1, "program")
    signed = work(face, player, opened(face, player), b"one", b"two")
    face.detach(player)
    assert signed == [(0, (b"signed one",)), (0, (b"signed two",))]
    assert (face.differences, face.unplayed()) == ([], [])


def differences(face: RecordedFace) -> list[tuple[int, str | None, str | None]]:
    found: list[Difference] = face.differences
    return [
        (
            each.number,
            each.expected and each.expected.function.name,
            each.got and each.got[0].name,
        )
        for each in found
    ]


def test_another_call_is_refused_and_told_with_both_sides() -> None:
    scene = Scene()
    scene.life(lambda: scene.session(5, b"one", b"two"))
    face = scene.face()
    player = face.attach(b"", 1, "program")
    session = opened(face, player)
    assert face.call(player, "C_Logout", (session,)) == (CKR.DEVICE_ERROR, ())
    signed = work(face, player, session, b"other", b"two")
    face.detach(player)
    assert signed == [(CKR.DEVICE_ERROR, ()), (0, (b"signed two",))]
    assert differences(face) == [(2, "C_SignInit", "C_Logout"), (4, "C_Sign", "C_Sign")]
    told = str(face.differences[1])
    assert "expected  C_Sign(session=5, data=6f6e65, signature=room for 256) = CKR_OK" in told
    assert "got       C_Sign(session=5, data=6f74686572, signature=room for 256)" in told


def test_a_program_that_ends_early_or_goes_on_is_told() -> None:
    scene = Scene()
    scene.life(lambda: scene.session(5, b"one"))
    face = scene.face()
    player = face.attach(b"", 1, "program")
    opened(face, player)
    face.detach(player)
    assert differences(face) == [(1, "C_SignInit", None)]
    assert face.differences[0].more == 3
    late = face.attach(b"", 2, "program")
    assert face.call(late, "C_Logout", (5,)) == (CKR.DEVICE_ERROR, ())
    assert differences(face)[1:] == [(1, None, "C_Logout")]


@pytest.mark.parametrize(
    ("name", "recorded", "same", "other"),
    [
        ("C_Login", (5, 1, b""), (5, 1, b"123456"), (5, 1, None)),
        ("C_Login", (5, 1, b""), (5, 1, b"654321"), (5, 0, b"654321")),
        (
            "C_FindObjectsInit",
            (5, [Attribute(CKA.VALUE, None, 4)]),
            (5, [Attribute(CKA.VALUE, b"four", 4)]),
            (5, [Attribute(CKA.VALUE, b"three", 5)]),
        ),
        (
            "C_DigestInit",
            (5, Mechanism(CKM.PKCS5_PBKD2, Misfit(72))),
            (5, Mechanism(CKM.PKCS5_PBKD2, b"password")),
            (5, Mechanism(CKM.SHA256, b"password")),
        ),
        ("C_SeedRandom", (5, b"seed"), (5, b"tree"), (5, b"seeds")),
        ("C_Digest", (5, b"data", ROOM), (5, b"data", ROOM), (5, b"date", ROOM)),
    ],
)
def test_what_a_recording_leaves_out_agrees(
    name: str, recorded: tuple[Any, ...], same: tuple[Any, ...], other: tuple[Any, ...]
) -> None:
    for arguments, rv in ((same, CKR.OK), (other, CKR.DEVICE_ERROR)):
        scene = Scene()
        scene.life(lambda scene=scene: scene.call(name, recorded))  # type: ignore[misc]
        face = scene.face()
        assert face.call(face.attach(b"", 1, "program"), name, arguments)[0] == rv


def test_questions_may_come_more_or_less_often() -> None:
    scene = Scene()

    def record() -> None:
        scene.call("C_GetSlotInfo", (0, True), (b"empty",))
        scene.call("C_GetSlotInfo", (0, True), (b"full",))
        scene.session(5, b"one")
        scene.call("C_GetSlotInfo", (0, True), (b"empty again",))

    scene.life(record)
    face = scene.face()
    player = face.attach(b"", 1, "program")
    asked = [face.call(player, "C_GetSlotInfo", (0, True))[1] for _ in range(2)]
    session = opened(face, player)
    asked.append(face.call(player, "C_GetSlotInfo", (0, True))[1])
    assert work(face, player, session, b"one") == [(0, (b"signed one",))]
    face.detach(player)  # without the last question
    assert asked == [(b"empty",), (b"full",), (b"full",)]
    assert face.differences == []
    strange = face.attach(b"", 2, "program")
    assert face.call(strange, "C_GetSlotInfo", (3, True))[0] == CKR.DEVICE_ERROR


def test_threads_may_take_turns_as_they_like() -> None:
    """Sessions that have done the same change places: each thread gets what its data got."""
    scene = Scene()
    scene.call("C_Initialize")
    for tid in range(1, 5):
        scene.session(10 + tid, b"data %d" % tid, b"more", tid=tid)
    scene.call("C_Finalize")
    for order in itertools.permutations(range(1, 5)):
        face = scene.face()
        player = face.attach(b"", 1, "program")
        sessions = {tid: opened(face, player) for tid in order}
        for tid in reversed(order):
            signed = work(face, player, sessions[tid], b"data %d" % tid, b"more")
            assert signed == [(0, (b"signed data %d" % tid,)), (0, (b"signed more",))]
        face.detach(player)
        assert face.differences == []


def test_programs_of_one_name_may_come_in_another_order() -> None:
    scene = Scene()
    for pid in (1, 2, 3):
        data = b"data %d" % pid
        scene.life(lambda pid=pid, data=data: scene.session(5, data, pid=pid), pid=pid)  # type: ignore[misc]
    face = scene.face()
    for pid in (3, 1, 2):
        player = face.attach(b"", pid, "program")
        signed = work(face, player, opened(face, player), b"data %d" % pid)
        assert signed == [(0, (b"signed data %d" % pid,))]
        face.detach(player)
    assert (face.differences, face.unplayed()) == ([], [])


@pytest.mark.parametrize("comes", [True, False])
def test_who_waits_for_a_slot_waits_as_long(comes: bool) -> None:
    scene = Scene()
    scene.call("C_Initialize")
    scene.session(5, b"one")
    ending = 0 if comes else CKR.CRYPTOKI_NOT_INITIALIZED
    scene.call("C_WaitForSlotEvent", (0, True, False), (0,) if comes else (), tid=2, rv=ending)
    scene.call("C_Finalize")
    face = scene.face()
    player = face.attach(b"", 1, "program")
    answers: list[Any] = []
    wait = ("C_WaitForSlotEvent", (0, True, False))
    waiting = threading.Thread(target=lambda: answers.append(face.call(player, *wait)))
    waiting.start()
    session = opened(face, player)
    waiting.join(0.05)
    assert answers == []
    work(face, player, session, b"one")
    if not comes:
        face.detach(player)
    waiting.join(10)
    assert answers == [(0, (0,)) if comes else (CKR.CRYPTOKI_NOT_INITIALIZED, ())]
    face.detach(player)
    assert face.differences == []


def test_a_recording_without_data_cannot_be_played() -> None:
    with pytest.raises(RecordingError, match="record it again with --level replay"):
        Scene().face("calls")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "its first line is not the header"),
        ('{"ukey": "trace", "version": 1}', "is a trace, no recording"),
        ('{"ukey": "recording", "version": 2, "level": "replay"}', "of version 2; 1 is read"),
        ('{"ukey": "recording", "version": 1, "level": "replay"}\n{"n": 1}', "line 2: KeyError"),
        ('{"ukey": "recording", "version": 1, "level": "replay"}\n{nonsense}', "line 2 is no JSON"),
    ],
)
def test_a_file_that_is_no_recording_is_refused(tmp_path: Path, content: str, message: str) -> None:
    file = tmp_path / "file"
    file.write_text(content)
    with pytest.raises(RecordingError, match=message):
        Recording.read(file)


def test_half_a_line_at_the_end_is_passed_over(tmp_path: Path) -> None:
    file = tmp_path / "file"
    header = '{"ukey": "recording", "version": 1, "level": "replay"}'
    call = (
        '{"time": 1.5, "pid": 1, "tid": 1, "program": "p", "n": 1, "function": "C_Logout", '
        '"rv": 0, "us": 7, "request": {"size": 8, "hex": "05"}, "answer": {"size": 8, "hex": ""}}'
    )
    file.write_text(f"{header}\n{call}\n{call[:50]}")
    (read,) = Recording.read(file).calls
    assert (read.arguments, read.results, read.us) == ((5,), (), 7)


def test_a_device_has_the_median_of_its_times() -> None:
    scene = Scene()

    def record() -> None:
        for us in (100_000, 300_000, 110_000):
            scene.call("C_SignInit", (5, SIGN, 9))
            scene.call("C_Sign", (5, b"data", LENGTH), (256,), us=1)
            scene.call("C_Sign", (5, b"data", ROOM), (b"signed",), us=us)
        scene.call("C_Sign", (5, b"data", ROOM), rv=CKR.DEVICE_ERROR, us=9_000_000)
        size = Attribute(CKA.MODULUS_BITS, (4096).to_bytes(8, "little"), 8)
        make = Mechanism(CKM.RSA_PKCS_KEY_PAIR_GEN, None)
        scene.call("C_GenerateKeyPair", (5, make, [size], [], True, True), (1, 2), us=4_000_000)
        scene.call("C_GetSessionInfo", (5, True), us=3)

    scene.life(record)
    assert as_toml(timings(scene.calls)) == (
        '[[timing]]\nfunction = "C_GenerateKeyPair"\nmechanism = "CKM_RSA_PKCS_KEY_PAIR_GEN"\n'
        "bits = 4096\nseconds = 4.000000\n\n"
        '[[timing]]\nfunction = "C_Sign"\nmechanism = "CKM_SHA256_RSA_PKCS"\nseconds = 0.110000\n'
    )
