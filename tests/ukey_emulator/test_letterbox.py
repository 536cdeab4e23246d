"""What is kept private while no PIN has opened the token: sealed at once, opened by the next login.

`version_1.ukey` is a file from before there was a letterbox, made by the program of that time: a
P-256 pair labelled "old key", a data object and an AES key, all private but the public key.
"""

import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from program import PIN, SO_PIN

from ukey_emulator.chip import Chip, Refusal, Role, making
from ukey_emulator.chip.factory import Factory
from ukey_emulator.chip.objects import Object
from ukey_emulator.chip.objects.kinds import FALSE, TRUE, number
from ukey_emulator.chip.store import Store
from ukey_emulator.terms import CKA, CKO, CKR

OLD = Path(__file__).with_name("version_1.ukey")
IDENTIFIER = bytes.fromhex("0603020100")


def secret(value: bytes, identifier: bytes = b"") -> Object:
    """Make a private data object."""
    template: dict[int, bytes] = {
        CKA.CLASS: number(CKO.DATA),
        CKA.TOKEN: TRUE,
        CKA.PRIVATE: TRUE,
        CKA.OBJECT_ID: identifier,
        CKA.LABEL: b"the label",
        CKA.VALUE: value,
    }
    return making.create(template.items())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "key"


@contextmanager
def plugged(path: Path) -> Iterator[Chip]:
    """Give the chip in a file, new if there is none."""
    if path.exists():
        chip = Chip.open(path)
    else:
        chip = Chip.make(path, "1", "label", Factory.of(PIN, SO_PIN, 10))
    try:
        yield chip
    finally:
        chip.close()


def values(chip: Chip) -> list[bytes]:
    """Give the values of all data objects that the user sees."""
    era = chip.log_in(Role.USER, PIN)
    found = [
        obj.attributes[CKA.VALUE] for obj in chip.find({CKA.CLASS: number(CKO.DATA)}, private=True)
    ]
    chip.log_out(Role.USER, era)
    return found


def test_what_is_posted_without_a_pin_is_there_after_the_next_login(path: Path) -> None:
    with plugged(path) as chip:
        chip.exchange((), (secret(b"first"), secret(b"second")))
        assert not list(chip.find({}, private=True))
        assert values(chip) == [b"first", b"second"]
        assert not list(chip.find({}, private=True))
    with plugged(path) as chip:
        assert values(chip) == [b"first", b"second"]


def test_it_stays_sealed_until_then(path: Path) -> None:
    with plugged(path) as chip:
        chip.exchange((), (secret(b"well hidden value"),))
        chip.close()
    content = b"".join(file.read_bytes() for file in path.parent.iterdir())
    assert b"well hidden value" not in content
    assert b"the label" not in content


def test_a_program_cannot_keep_what_is_private_without_a_login(path: Path) -> None:
    with plugged(path) as chip:
        with pytest.raises(Refusal) as refusal:
            chip.keep(secret(b"mine"))
        assert refusal.value.code is CKR.USER_NOT_LOGGED_IN


def test_a_posted_object_is_seen_at_once_by_who_is_logged_in(path: Path) -> None:
    with plugged(path) as chip:
        chip.log_in(Role.USER, PIN)
        chip.exchange((), (secret(b"now"),))
        (found,) = chip.find({}, private=True)
        assert found.attributes[CKA.VALUE] == b"now"


def test_while_the_so_alone_is_logged_in_it_is_seen_by_nobody(path: Path) -> None:
    with plugged(path) as chip:
        chip.log_in(Role.SO, SO_PIN)
        chip.exchange((), (secret(b"later"),))
        assert not list(chip.find({}, private=True))
        assert values(chip) == [b"later"]


def test_the_outside_tells_enough_to_replace_it_and_no_more(path: Path) -> None:
    with plugged(path) as chip:
        chip.exchange((), (secret(b"first", IDENTIFIER), secret(b"nameless")))
    with plugged(path) as chip:
        (outside,) = chip.outsides()
        assert outside.attributes[CKA.OBJECT_ID] == IDENTIFIER
        assert not {CKA.VALUE, CKA.LABEL} & outside.attributes.keys()
        chip.exchange((outside,), (secret(b"second", IDENTIFIER),))
        assert values(chip) == [b"nameless", b"second"]


def test_it_is_sealed_for_this_token_alone(path: Path) -> None:
    """After a wipe there is another letterbox, and nothing of before can be opened."""
    with plugged(path) as chip:
        chip.exchange((), (secret(b"before"),))
        chip.initialise(SO_PIN, "fresh")
        chip.exchange((), (secret(b"after"),))
        chip.unblock(SO_PIN, PIN)
        assert values(chip) == [b"after"]


def test_a_blank_token_takes_nothing_private(path: Path) -> None:
    with closing(Chip.make(path, "1", "")) as chip:
        with pytest.raises(Refusal) as refusal:
            chip.exchange((), (secret(b"mine"),))
        assert refusal.value.code is CKR.USER_PIN_NOT_INITIALIZED
        chip.initialise(SO_PIN, "first")
        chip.exchange((), (secret(b"mine"),))
        chip.unblock(SO_PIN, PIN)
        assert values(chip) == [b"mine"]


@pytest.mark.parametrize("posted", [True, False])
@pytest.mark.parametrize(
    "spoil",
    [
        "UPDATE object SET outside = x'00' WHERE row = 1",
        "UPDATE object SET outside = NULL WHERE row = 1",
        "UPDATE object SET posted = NOT posted WHERE row = 1",
        "UPDATE object SET blob = (SELECT blob FROM object WHERE row = 2) WHERE row = 1",
        "UPDATE object SET blob = substr(blob, 1, 40) WHERE row = 1",
        "UPDATE object SET blob = substr(blob, 1, 4) WHERE row = 1",
        "UPDATE object SET blob = zeroblob(200) WHERE row = 1",
    ],
)
def test_who_tampers_with_the_file_is_found_out(path: Path, spoil: str, *, posted: bool) -> None:
    with plugged(path) as chip:
        if not posted:
            chip.log_in(Role.USER, PIN)
        chip.exchange((), (secret(b"first", IDENTIFIER), secret(b"second", IDENTIFIER)))
    with closing(sqlite3.connect(path)) as file, file:
        file.execute(spoil)
    with plugged(path) as chip:
        with pytest.raises(Refusal) as refusal:
            chip.log_in(Role.USER, PIN)
        assert refusal.value.code is CKR.DEVICE_ERROR


def test_who_exchanges_the_letterbox_is_found_out(path: Path, tmp_path: Path) -> None:
    """Or he would read what is posted from then on: to post a letter takes no PIN."""
    with plugged(path), plugged(tmp_path / "another"):
        pass
    with closing(sqlite3.connect(path)) as file, file:
        file.execute("ATTACH ? AS another", (str(tmp_path / "another"),))
        file.execute(
            "UPDATE fact SET value = CAST((SELECT substr(value, 1, 32) FROM another.fact AS theirs"
            " WHERE theirs.name = 'letterbox') || substr(value, 33) AS BLOB)"
            " WHERE name = 'letterbox'"
        )
    with plugged(path) as chip:
        with pytest.raises(Refusal) as refusal:
            chip.log_in(Role.USER, PIN)
        assert refusal.value.code is CKR.DEVICE_ERROR


def cut(monkeypatch: pytest.MonkeyPatch, method: str, after: int) -> None:
    """Have the power fail at a later call of a method of the store."""
    real: Callable[..., None] = getattr(Store, method)
    calls = iter(range(after))

    def failing(self: Store, *arguments: object) -> None:
        if next(calls, None) is None:
            raise KeyboardInterrupt
        real(self, *arguments)

    monkeypatch.setattr(Store, method, failing)


@pytest.mark.parametrize(("method", "after"), [("put_sealed", 0), ("put_sealed", 1)])
def test_a_login_that_is_cut_short_loses_no_letter(
    path: Path, monkeypatch: pytest.MonkeyPatch, method: str, after: int
) -> None:
    with plugged(path) as chip:
        chip.exchange((), (secret(b"first"), secret(b"second")))
        with monkeypatch.context() as power:
            cut(power, method, after)
            with pytest.raises(KeyboardInterrupt):
                chip.log_in(Role.USER, PIN)
    with plugged(path) as chip:
        assert values(chip) == [b"first", b"second"]


@pytest.mark.parametrize(
    ("method", "after"), [("drop_object", 0), ("put_sealed", 0), ("put_sealed", 1), ("put_fact", 0)]
)
def test_an_exchange_is_made_whole_or_not_at_all(
    path: Path, monkeypatch: pytest.MonkeyPatch, method: str, after: int
) -> None:
    with plugged(path) as chip:
        chip.exchange((), (secret(b"old", IDENTIFIER),), {"note": b"old"})
        with monkeypatch.context() as power:
            cut(power, method, after)
            with pytest.raises(KeyboardInterrupt):
                chip.exchange(
                    chip.outsides(), (secret(b"new", IDENTIFIER), secret(b"more")), {"note": b"new"}
                )
        assert chip.noted("note") == b"old"
        assert values(chip) == [b"old"]
    with plugged(path) as chip:
        assert chip.noted("note") == b"old"
        assert values(chip) == [b"old"]


_POSTS = """
import itertools, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_letterbox import IDENTIFIER, secret
from ukey_emulator.chip import Chip

chip = Chip.open(Path(sys.argv[1]))
for count in itertools.count():
    chip.exchange(chip.outsides(), (secret(b"%d" % count, IDENTIFIER),), {"note": b"%d" % count})
    print(count, flush=True)
"""


def test_a_killed_process_leaves_before_or_after(path: Path) -> None:
    with plugged(path):
        pass
    arguments = [sys.executable, "-c", _POSTS, str(path), str(Path(__file__).parent)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        told = [process.stdout.readline() for _ in range(20)]
        process.send_signal(signal.SIGKILL)
        told += process.stdout.readlines()
    last = int(next(line for line in reversed(told) if line.endswith(b"\n")))
    with plugged(path) as chip:
        (value,) = values(chip)
        assert int(value) in {last, last + 1}
        assert chip.noted("note") == value


# Files from before


@pytest.fixture
def old(path: Path) -> Path:
    return Path(shutil.copy(OLD, path))


def test_an_old_file_keeps_what_was_in_it(old: Path) -> None:
    for _ in range(2):
        with plugged(old) as chip:
            assert chip.identity.serial == "0123456789ABCDEF"
            assert chip.label == "an old key"
            assert values(chip) == [b"mine"]
            era = chip.log_in(Role.USER, PIN)
            private = chip.find({CKA.CLASS: number(CKO.PRIVATE_KEY)}, private=True)
            assert [key.attributes[CKA.LABEL] for key in private] == [b"old key"]
            (public,) = chip.find({CKA.CLASS: number(CKO.PUBLIC_KEY)}, private=False)
            assert public.attributes[CKA.PRIVATE] == FALSE
            chip.log_out(Role.USER, era)


def test_an_old_file_has_a_letterbox_after_the_first_login(old: Path) -> None:
    with plugged(old) as chip:
        assert not chip.outsides()
        with pytest.raises(Refusal) as refusal:
            chip.exchange((), (secret(b"too early"),))
        assert refusal.value.code is CKR.USER_NOT_LOGGED_IN
        values(chip)
        (key,) = chip.outsides()
        assert key.attributes[CKA.ID] == b"old"
        chip.exchange((), (secret(b"now"),))
    with plugged(old) as chip:
        assert values(chip) == [b"mine", b"now"]


@pytest.mark.parametrize("after", range(3))
def test_an_old_file_is_filled_in_whole_or_not_at_all(
    old: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    with plugged(old) as chip, monkeypatch.context() as power:
        cut(power, "put_sealed", after)
        with pytest.raises(KeyboardInterrupt):
            chip.log_in(Role.USER, PIN)
    with plugged(old) as chip:
        assert not chip.outsides()
        assert values(chip) == [b"mine"]
        assert len(chip.outsides()) == 1


def test_a_file_of_a_later_version_is_not_touched(path: Path) -> None:
    with plugged(path):
        pass
    with closing(sqlite3.connect(path)) as file, file:
        file.execute("PRAGMA user_version = 99")
    before = path.read_bytes()
    with pytest.raises(Refusal) as refusal:
        Chip.open(path)
    assert refusal.value.code is CKR.DEVICE_ERROR
    assert path.read_bytes() == before
