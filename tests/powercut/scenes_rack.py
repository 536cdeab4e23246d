"""What happens to the files of whole keys while the power is cut."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing

from bench import DATA, WRONG, Bench, scene, used
from program import PIN, Program, attributes

from ukey_emulator.chip import Role
from ukey_emulator.chip.letterbox import seal, unseal
from ukey_emulator.cryptoki.face import Face
from ukey_emulator.rack.keyring import Keyring
from ukey_emulator.terms import CKR, CKU


def rewindable(keyring: Keyring) -> None:
    """Make a key that has got something more since its snapshot."""
    used(keyring)
    keyring.snapshot("key", "first")
    program = Program(Face(keyring._slots, lambda *_: None))
    session = program.open(user=CKU.USER)
    program.C_CreateObject(session, attributes(**DATA, VALUE=bytes(20_000)), True)


def of_version_1(keyring: Keyring) -> None:
    """Make a key whose file is of the first version: nothing outside, no letterbox."""
    used(keyring)
    (slot,) = keyring._slots
    assert slot.chip is not None
    slot.chip.log_in(Role.USER, PIN)
    master, sealed = slot.chip._opened(), slot.chip._store.sealed()
    keyring.close()
    with closing(sqlite3.connect(keyring._folder / "key.ukey")) as file:
        for row, blob, outside, _ in sealed:
            clear = unseal(master, b"%d:%b" % (row, outside or b""), blob)
            again = seal(master, str(row).encode(), clear)
            file.execute("UPDATE object SET blob = ? WHERE row = ?", (again, row))
        file.execute("DELETE FROM fact WHERE name = 'letterbox'")
        file.execute("ALTER TABLE object DROP COLUMN outside")
        file.execute("ALTER TABLE object DROP COLUMN posted")
        file.execute("PRAGMA user_version=1")
        file.commit()


def with_a_full_log(keyring: Keyring) -> None:
    """Make a key whose log will soon have 1,000 pages, and be taken over into its file then."""
    used(keyring)
    (slot,) = keyring._slots
    assert slot.chip is not None
    log = keyring._folder / "key.ukey-wal"
    while log.stat().st_size < 996 * 4120:
        slot.chip.verify_pin(Role.USER, PIN)


# Whole keys


@scene("rack")
def key_made(bench: Bench) -> Iterator[None]:
    yield
    bench.keyring.new(name="second", label="second")
    yield


@scene("rack")
def key_removed(bench: Bench) -> Iterator[None]:
    bench.program.open(user=CKU.USER)
    yield
    bench.keyring.remove("key")
    yield


@scene("rack", changes=False)
def key_pulled_and_plugged(bench: Bench) -> Iterator[None]:
    bench.program.open(user=CKU.USER)
    yield
    bench.keyring.unplug("key")
    yield
    bench.keyring.plug("key")
    yield


@scene("rack")
def snapshots_taken_and_removed(bench: Bench) -> Iterator[None]:
    bench.program.open(user=CKU.USER)
    yield
    bench.keyring.snapshot("key", "first")
    yield
    bench.keyring.new_from("first", name="second")
    yield
    bench.keyring.remove_snapshot("first")
    yield


@scene("rack", rewindable)
def key_rewound(bench: Bench) -> Iterator[None]:
    bench.program.open(user=CKU.USER)
    yield
    bench.keyring.rewind("key", "first")
    yield


@scene("rack")
def key_reset(bench: Bench) -> Iterator[None]:
    bench.program.open(user=CKU.USER)
    yield
    bench.keyring.reset("key")
    yield


# The file itself


@scene("file", changes=False, crashed=True)
def opened_after_a_crash(bench: Bench) -> Iterator[None]:
    yield
    assert bench.keyring
    yield


@scene("file", of_version_1)
def opened_from_an_old_version(bench: Bench) -> Iterator[None]:
    yield
    program = bench.program
    session = program.open()
    yield
    program.C_Login(session, CKU.USER, PIN)
    yield


@scene("file", with_a_full_log, changes=False, crashed=True)
def log_taken_over(bench: Bench) -> Iterator[None]:
    program = bench.program
    session = program.open()
    yield
    for _ in range(4):
        program.C_Login(session, CKU.USER, PIN)
        yield
        program.C_Logout(session)


@scene("file")
def key_rested_and_woken(bench: Bench) -> Iterator[None]:
    program = bench.program
    session = program.open(user=CKU.USER)
    program.C_Logout(session)
    yield
    assert bench.chip._store.rest()
    yield
    assert program.rv("C_Login", session, CKU.USER, WRONG) == CKR.PIN_INCORRECT
    yield
