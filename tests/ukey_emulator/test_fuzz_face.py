"""Calls made by dice, to the face and a real key: the same ones each time (fuzz_face.py)."""

from pathlib import Path

import fuzz_face

from ukey_emulator.terms import CKR

LEAST = 25  # functions that have succeeded: the dice do not only knock at the door


def test_whatever_is_called_ends_in_a_return_value(tmp_path: Path) -> None:
    reached: set[str] = set()
    for seed in (2, 3):
        codes, findings = fuzz_face.run(tmp_path / str(seed), seed)
        assert findings == []
        assert codes.total() == fuzz_face.CALLS
        reached |= {name for name, code in codes if code is CKR.OK}
    assert len(reached) >= LEAST
