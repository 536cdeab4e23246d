"""The protocol itself: its versions, clients that break it, and clients that do not listen."""

import os
import stat
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from struct import pack

import pytest
from sides import Ours, Side, within
from stand_in import OK, PLAIN, StandIn
from wire import Wire

from ukey_emulator.rack.rack import Rack
from ukey_emulator.readers.messages import COUNT, EVENT, NO_READER, READER, READER_EVENTS, TRANSMIT
from ukey_emulator.readers.terms import SCARD, Command

HUNG_UP: tuple[bytes, ...] = (
    b"\xff" * 64,
    pack("=II", 0, 0),
    pack("=II", 0, 3),
    pack("=II", 0, 0x18),
    pack("=II", 13, Command.VERSION) + bytes(13),
    pack("=II", 0xFFFFFFFF, Command.TRANSMIT),
    pack("=II", 32, Command.TRANSMIT) + TRANSMIT.pack(1, 2, 16, 4, 2, 16, 258, 0) + bytes(4),
    pack("=II", 32, Command.TRANSMIT) + TRANSMIT.pack(1, 2, 16, 65549, 2, 16, 258, 0),
    pack("=II", 8, Command.STATUS) + pack("=iI", 4711, 0),
    pack("=II", 8, Command.BEGIN_TRANSACTION) + pack("=iI", -1, 0),
)


@pytest.mark.parametrize("garbage", HUNG_UP)
def test_garbage_ends_its_own_connection(side: Side, garbage: bytes) -> None:
    """A handle of somebody else's is garbage, too; pcscd takes two seconds over that."""
    side.insert(0, StandIn())
    connection = side.program().connect(side.name(0))
    with Wire(side.address) as wire:
        wire.establish()
        wire.socket.sendall(garbage)
        assert wire.ended()
    assert connection.transmit(PLAIN) == OK


def test_half_a_message(ours: Ours) -> None:
    whole = pack("=II", 12, Command.VERSION) + pack("=iiI", 4, 4, 0)
    for length in range(1, len(whole)):
        with Wire(ours.address) as wire:
            wire.socket.sendall(whole[:length])
    with Wire(ours.address) as wire:
        for byte in whole:
            wire.socket.sendall(bytes([byte]))
            time.sleep(0.001)
        assert wire.take(12) == pack("=iiI", 4, 4, 0)
        wire.socket.sendall(whole * 3)
        assert wire.take(36) == pack("=iiI", 4, 4, 0) * 3


def test_a_stranger_s_handle(ours: Ours) -> None:
    ours.insert(0, StandIn())
    with Wire(ours.address) as one, Wire(ours.address) as other:
        card = one.connect(ours.name(0))
        other.establish()
        other.send(Command.TRANSMIT, card, 2, 16, len(PLAIN), 2, 16, 258, 0, data=PLAIN)
        assert other.ended()
        assert one.ask(Command.STATUS, card, 0) == (card, SCARD.S_SUCCESS)


def test_versions(ours: Ours) -> None:
    """4:4 to 4:6 are spoken; to others it says which, so that they can come again with that."""
    for minor in (4, 5, 6):
        with Wire(ours.address, minor) as wire:
            assert wire.version() == (4, minor, SCARD.S_SUCCESS)
    for major, minor in ((4, 3), (4, 7), (3, 4), (5, 0)):
        with Wire(ours.address, minor) as wire:
            assert wire.version(major) == (4, 6, SCARD.E_SERVICE_STOPPED)
            wire.minor = 6
            assert wire.version() == (4, 6, SCARD.S_SUCCESS)


def test_contexts(side: Side) -> None:
    with Wire(side.address) as wire:
        wire.version()
        assert wire.ask(Command.RELEASE_CONTEXT, 1, 0) == (1, SCARD.E_INVALID_HANDLE)
        assert wire.ask(Command.ESTABLISH_CONTEXT, 9, 0, 0) == (9, 0, SCARD.E_INVALID_VALUE)
        context = wire.establish()
        other = context ^ 1
        assert wire.ask(Command.RELEASE_CONTEXT, other, 0) == (other, SCARD.E_INVALID_VALUE)
        assert wire.ask(Command.RELEASE_CONTEXT, context, 0) == (context, SCARD.S_SUCCESS)
        assert wire.ask(Command.CANCEL, context, 0) == (context, SCARD.E_INVALID_HANDLE)


def test_sixteen_readers_and_more(ours: Ours) -> None:
    """Clients up to 4:5 know sixteen; those of 4:6 ask how many there are."""
    for number in range(3, 201):
        ours.slots.add(f"key-{number}")
    all_readers = [f"ukeylab key-{number + 1} 00 00" for number in range(200)]
    for minor in (4, 5):
        with Wire(ours.address, minor) as wire:
            wire.establish()
            wire.send(Command.GET_READERS_STATE)
            assert wire.states() == all_readers[:16]
    assert ours.program().readers() == all_readers[:16]
    with Wire(ours.address, 6) as wire:
        wire.establish()
        assert wire.ask(Command.GET_READERS_STATE_SIZE, answer=COUNT) == (200,)
        ours.slots.add("one more in between")
        wire.send(Command.GET_READERS_STATE_ARRAY)
        assert wire.states(200) == all_readers
        for slot in list(ours.slots)[5:]:
            ours.slots.remove(slot)
        # libpcsclite 2.5 takes a count that has become less for an error.
        assert wire.ask(Command.GET_READERS_STATE_SIZE, answer=COUNT) == (200,)
        wire.send(Command.GET_READERS_STATE_ARRAY)
        assert wire.states(200) == all_readers[:5]


def test_few_readers(ours: Ours) -> None:
    with Wire(ours.address, 6) as wire:
        wire.establish()
        assert wire.ask(Command.GET_READERS_STATE_SIZE, answer=COUNT) == (16,)
        wire.send(Command.GET_READERS_STATE_ARRAY)
        states = wire.take(16 * READER.size)
        assert states[2 * READER.size :] == NO_READER * 14


def test_the_count_of_reader_events(ours: Ours) -> None:
    """4:5: what came and went between two calls."""
    with Wire(ours.address, 5) as wire:
        wire.establish()
        first, _ = wire.ask(Command.GET_READER_EVENTS, answer=READER_EVENTS)
        slot = ours.slots.add("late")
        assert wire.ask(Command.GET_READER_EVENTS, answer=READER_EVENTS) == (first + 1, 0)
        ours.slots.remove(slot)
        assert wire.ask(Command.GET_READER_EVENTS, answer=READER_EVENTS) == (first + 2, 0)


def registered(wire: Wire) -> None:
    """Wait for events, as a client of its version does."""
    wire.send(Command.WAIT_READER_STATE_CHANGE)
    if wire.minor < 6:
        wire.states()


@pytest.mark.parametrize("minor", [4, 5, 6])
def test_an_event_comes_once(ours: Ours, minor: int) -> None:
    with Wire(ours.address, minor) as wire:
        wire.establish()
        registered(wire)
        if minor == 6:
            ours.insert(0, StandIn())  # no event may come between what it asks now
            (count,) = wire.ask(Command.GET_READERS_STATE_SIZE, answer=COUNT)
            wire.send(Command.GET_READERS_STATE_ARRAY)
            wire.states(count)
        ours.insert(1, StandIn())
        assert wire.take(EVENT.size) == EVENT.pack(0, SCARD.S_SUCCESS)
        ours.remove(1)
        assert wire.silent()
        wire.send(Command.STOP_WAITING_READER_STATE_CHANGE)
        assert wire.silent()


def test_waiting_no_more(side: Side) -> None:
    with Wire(side.address) as wire:
        wire.establish()
        registered(wire)
        assert wire.ask(Command.STOP_WAITING_READER_STATE_CHANGE, answer=EVENT) == (0, 0)
        side.insert(0, StandIn())
        assert wire.silent()


def test_a_client_that_does_not_listen(ours: Ours) -> None:
    """Who asks and asks and reads nothing keeps nobody else from anything."""
    with Wire(ours.address) as wire:
        wire.establish()
        with suppress(BrokenPipeError):
            for _ in range(200):
                wire.send(Command.WAIT_READER_STATE_CHANGE)
        ours.insert(0, StandIn())
        assert ours.program().connect(ours.name(0)).transmit(PLAIN) == OK
        assert wire.ended()


def test_what_clients_leave_behind(ours: Ours) -> None:
    """Nothing: no thread, no connection, no number."""
    ours.insert(0, StandIn())
    manager = ours.manager
    with ExitStack() as clients:
        for _ in range(30):
            wire = clients.enter_context(Wire(ours.address))
            wire.connect(ours.name(0))
            registered(wire)
        assert len(manager._door.connections) == 31  # one observes
    assert within(5, lambda: len(manager._door.connections) == 1)
    assert within(5, lambda: len(manager._readers.numbers._taken) == 1)
    assert manager._readers.reader(ours.name(0).encode()).contexts == 0
    assert within(5, lambda: len([t for t in manager._door.threads if t.is_alive()]) == 2)


def test_what_clients_leave_behind_that_die_waiting(ours: Ours) -> None:
    """Nothing either, though they were given no answer yet."""
    ours.insert(0, StandIn())
    name = ours.name(0).encode()
    numbers = ours.manager._readers.numbers
    with Wire(ours.address) as holder:
        holder.ask(Command.BEGIN_TRANSACTION, holder.connect(ours.name(0)), 0)
        before = len(numbers._taken)
        with Wire(ours.address) as wire:
            wire.send(Command.CONNECT, wire.establish(), name, 2, 3, 0, 0, 0)
            assert wire.silent()
        assert within(5, lambda: len(ours.manager._door.connections) == 2)
        assert len(numbers._taken) == before


def test_strangers_are_turned_away(ours: Ours, monkeypatch: pytest.MonkeyPatch) -> None:
    turned: Callable[[object], bool] = lambda _: False  # noqa: E731
    monkeypatch.setattr(ours.manager._door, "_admits", turned)
    with Wire(ours.address) as wire:
        with suppress(BrokenPipeError):
            wire.send(Command.VERSION, 4, 4, 0)
        assert wire.ended()


def test_the_rack_s_socket(tmp_path: Path) -> None:
    """For its user alone; one that a killed rack has left is in nobody's way."""
    address = tmp_path / "pcscd.comm"
    for _ in range(2):
        with Rack(tmp_path) as rack:
            if not rack.keys.list():
                rack.keys.new(name="only")
            assert stat.S_IMODE(address.stat().st_mode) == 0o600
            with Wire(address) as wire:
                wire.establish()
                wire.send(Command.GET_READERS_STATE)
                assert wire.states() == ["ukeylab only 00 00"]
        assert not address.exists()
        os.mknod(address, stat.S_IFSOCK | 0o600)


def test_a_client_that_waits_for_itself(ours: Ours) -> None:
    """For ever, as in pcscd; but killed, it leaves the card to others, which there it does not."""
    card = StandIn()
    ours.insert(0, card)
    with Wire(ours.address) as wire:
        context = wire.establish()
        name = ours.name(0).encode()
        *_, holder, _, _ = wire.ask(Command.CONNECT, context, name, 2, 3, 0, 0, 0)
        wire.ask(Command.BEGIN_TRANSACTION, holder, 0)
        wire.send(Command.CONNECT, context, name, 2, 3, 0, 0, 0)
        assert wire.silent()
    assert ours.program().connect(ours.name(0)).transmit(PLAIN) == OK
    assert card.done[-1] == "reset"


def test_stopping_hangs_up(ours: Ours) -> None:
    """Also on who waits in a call for a transaction's end."""
    card = StandIn()
    ours.insert(0, card)
    with Wire(ours.address) as one, Wire(ours.address) as other:
        holder = one.connect(ours.name(0))
        one.ask(Command.BEGIN_TRANSACTION, holder, 0)
        context = other.establish()
        other.send(Command.CONNECT, context, ours.name(0).encode(), 2, 3, 0, 0, 0)
        ours.manager.stop()
        assert one.ended()
        assert other.ended()
    assert card.done[-1] == "off"
