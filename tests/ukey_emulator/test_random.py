"""Random numbers, as many as one answer holds, and seeds for their source."""

from program import Program

from ukey_emulator.cryptoki.wire import FRAME_LIMIT
from ukey_emulator.terms import CKR


def test_a_seed_is_taken_and_nothing_repeats(program: Program) -> None:
    session = program.open()
    drawn = set()
    for seed in (b"the same seed", b"the same seed", b""):
        assert program.rv("C_SeedRandom", session, seed) == CKR.OK
        drawn.add(program.C_GenerateRandom(session, 16))
    assert len(drawn) == 3
    assert program.rv("C_SeedRandom", session, None) == CKR.ARGUMENTS_BAD


def test_many_random_bytes_at_once(program: Program) -> None:
    session = program.open()
    assert len(program.C_GenerateRandom(session, 5 << 20)) == 5 << 20
    assert program.rv("C_GenerateRandom", session, FRAME_LIMIT) == CKR.DEVICE_MEMORY
