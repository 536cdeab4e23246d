"""Cards and readers that come and go, and programs that wait for them."""

import pytest
from sides import Ours, Side, Waiting, within
from stand_in import ATR, OK, PLAIN, SLOW, StandIn
from winscard import (
    CHANGED,
    EMPTY,
    INFINITE,
    INUSE,
    PNP,
    PRESENT,
    TIMEOUT,
    UNAWARE,
    Failed,
    outcome,
)

from ukey_emulator.readers.terms import SCARD, Disposition, Protocol, Share


def test_insertion(side: Side) -> None:
    """RD-02."""
    program, reader = side.program(), side.name(0)
    empty = program.look(reader)
    assert (empty.flags, empty.atr) == (EMPTY | CHANGED, b"")
    side.insert(0, StandIn())
    (seen,) = program.wait((reader, empty.state & ~CHANGED))
    assert (seen.flags, seen.atr) == (PRESENT | CHANGED, ATR)
    assert seen.count == empty.count + 1
    assert program.connect(reader).status().state >> 16 == seen.count


def test_removal(side: Side, card: StandIn, reader: str) -> None:
    """RD-03."""
    del card
    program = side.program()
    present = program.look(reader)
    side.pull(0)
    (seen,) = program.wait((reader, present.state & ~CHANGED))
    assert (seen.flags, seen.atr) == (EMPTY | CHANGED, b"")
    assert seen.count == present.count + 1


def test_who_waits_is_woken(side: Side) -> None:
    """One waits for ever, the other for one reader among several."""
    one, other, readers = side.program(), side.program(), (side.name(0), side.name(1))
    waiting = [
        Waiting(lambda: one.wait((readers[0], EMPTY), milliseconds=INFINITE)),
        Waiting(lambda: other.wait(*((name, EMPTY) for name in readers), milliseconds=15000)),
    ]
    assert all(each.waits() for each in waiting)
    side.insert(0, StandIn())
    assert [each.outcome() for each in waiting] == [SCARD.S_SUCCESS] * 2


def test_a_handle_when_its_card_goes(side: Side, card: StandIn, reader: str) -> None:
    """RD-04 to RD-06."""
    del card
    connection = side.program().connect(reader)
    connection.begin()
    side.remove(0)
    for call in (lambda: connection.transmit(PLAIN), connection.status, connection.end):
        assert outcome(call) == SCARD.W_REMOVED_CARD
    assert outcome(connection.begin) == SCARD.W_REMOVED_CARD
    assert outcome(connection.reconnect) == SCARD.E_NO_SMARTCARD
    side.insert(0, StandIn())
    assert outcome(connection.transmit, PLAIN) == SCARD.W_REMOVED_CARD
    connection.reconnect()
    assert connection.transmit(PLAIN) == OK


def test_a_reset_where_no_card_is(side: Side, card: StandIn, reader: str) -> None:
    """RD-05: after it the handle says reset, also when there is a card again."""
    del card
    connection = side.program().connect(reader)
    side.remove(0)
    assert outcome(connection.reconnect, initialization=Disposition.RESET) == SCARD.E_NO_SMARTCARD
    side.insert(0, StandIn())
    assert outcome(connection.transmit, PLAIN) == SCARD.W_RESET_CARD
    connection.reconnect()
    assert connection.transmit(PLAIN) == OK


def test_a_transaction_when_its_card_goes(side: Side, card: StandIn, reader: str) -> None:
    """Whoever comes with the next card need not wait."""
    del card
    first = side.program().connect(reader)
    first.begin()
    side.remove(0)
    side.insert(0, StandIn())
    second = side.program().connect(reader)
    second.begin()
    assert second.transmit(PLAIN) == OK
    second.end()
    second.disconnect()
    first.disconnect()


def test_pulling_a_card_that_works(side: Side, card: StandIn, reader: str) -> None:
    """RD-18: never an answer that says that all is well."""
    connection = side.program().connect(reader)
    answers: list[bytes] = []
    working = Waiting(lambda: answers.append(connection.transmit(SLOW)))
    assert card.entered.wait(5)
    side.pull(0)
    card.go_on.set()
    assert (working.outcome(), answers) in [(SCARD.E_NOT_TRANSACTED, []), (0, [b""])]
    assert within(5, lambda: card.done[-1] == "off")
    assert within(5, lambda: outcome(connection.status) == SCARD.W_REMOVED_CARD)


def test_a_card_that_works_for_long(side: Side, card: StandIn, reader: str) -> None:
    """RD-19: others see it meanwhile, and wait for their turn with it."""
    one, other = side.program(), side.program()
    first, second = one.connect(reader), other.connect(reader)
    working = Waiting(lambda: first.transmit(SLOW))
    assert card.entered.wait(5)
    waiting = Waiting(lambda: second.transmit(PLAIN))
    assert waiting.waits()
    assert side.program().look(reader).flags == PRESENT | CHANGED | INUSE
    assert working.waits()
    card.go_on.set()
    assert (working.outcome(), waiting.outcome()) == (SCARD.S_SUCCESS, SCARD.S_SUCCESS)


def test_cancel(side: Side, card: StandIn, reader: str) -> None:
    """RD-14."""
    del card
    program = side.program()
    for _ in range(2):
        waiting = Waiting(lambda: program.wait((reader, PRESENT), milliseconds=INFINITE))
        assert waiting.waits()
        program.cancel()
        assert waiting.outcome() == SCARD.E_CANCELLED
    assert program.look(reader).flags & PRESENT
    program.cancel()


def test_waiting_in_vain(side: Side, card: StandIn, reader: str) -> None:
    del card
    program = side.program()
    for milliseconds in (0, 50):
        with pytest.raises(Failed) as failed:
            program.wait((reader, PRESENT), milliseconds=milliseconds)
        assert failed.value.rv == TIMEOUT
    assert outcome(program.wait, ("none 00 00", UNAWARE)) == SCARD.E_UNKNOWN_READER
    assert program.look(reader).flags & PRESENT


def test_connecting_is_seen(side: Side, card: StandIn, reader: str) -> None:
    """A reader that is not in use any more is a change, too; pcscd looks every 0.4 s."""
    del card
    program = side.program()
    connection = side.program().connect(reader)
    waiting = Waiting(lambda: program.wait((reader, PRESENT | INUSE), milliseconds=15000))
    assert all(waiting.waits() for _ in range(3))
    connection.disconnect()
    assert waiting.outcome() == SCARD.S_SUCCESS


# What follows is ours alone: a pcscd adds and removes readers only with the kernel's help.


def test_readers_come_and_go(ours: Ours) -> None:
    """RD-15."""
    program = ours.program()
    before = program.readers()
    for change in (lambda: ours.slots.add("late"), lambda: ours.slots.remove(list(ours.slots)[-1])):
        waiting = Waiting(lambda: program.wait((PNP, UNAWARE), milliseconds=INFINITE))
        assert waiting.waits()
        change()
        assert waiting.outcome() == SCARD.S_SUCCESS
        before, after = program.readers(), before
        assert set(before) ^ set(after) == {"ukeylab late 00 00"}


def test_a_reader_that_goes(ours: Ours) -> None:
    card = StandIn()
    ours.insert(1, card)
    program, reader = ours.program(), ours.name(1)
    connection, second = program.connect(reader), program.connect(reader)
    connection.begin()
    one, other = ours.program(), ours.program()
    waiting = Waiting(lambda: one.wait((reader, PRESENT | INUSE), milliseconds=15000))
    newcomer = Waiting(lambda: other.connect(reader))
    assert waiting.waits()
    ours.slots.remove(list(ours.slots)[1])
    assert waiting.outcome() == SCARD.S_SUCCESS
    assert newcomer.outcome() == SCARD.E_READER_UNAVAILABLE
    assert card.done[-1] == "off"
    assert outcome(connection.transmit, PLAIN) == SCARD.E_INVALID_VALUE
    assert outcome(connection.status) == SCARD.E_READER_UNAVAILABLE
    assert outcome(connection.end) == SCARD.E_INVALID_VALUE
    assert outcome(program.connect, reader) == SCARD.E_UNKNOWN_READER
    connection.disconnect()
    second.disconnect(Disposition.RESET)


def test_the_last_reader(ours: Ours) -> None:
    for slot in ours.slots:
        ours.slots.remove(slot)
    assert ours.program().readers() == []


def test_a_card_is_made_when_somebody_looks(ours: Ours, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys that nobody uses as cards cost nothing for it."""
    made: list[object] = []
    monkeypatch.setattr(ours.manager._readers, "_make_card", lambda chip: made.append(chip) or chip)
    card = StandIn()
    ours._insert(1, card)
    assert made == []
    ours.pull(1)
    ours._insert(1, card)
    assert ours.program().look(ours.name(1)).atr == ATR
    assert (made, card.done) == ([card], [])


class Mute(StandIn):
    def power_on(self) -> bytes:
        raise RuntimeError("no answer to reset")


def test_a_new_card_that_nobody_has_looked_at(ours: Ours) -> None:
    ours.insert(0, StandIn())
    connection = ours.program().connect(ours.name(0))
    ours.pull(0)
    ours._insert(0, StandIn())
    assert connection.reconnect() == Protocol.T1
    assert connection.transmit(PLAIN) == OK


def test_a_mute_card(ours: Ours) -> None:
    ours._insert(0, Mute())
    program = ours.program()
    assert outcome(program.connect, ours.name(0)) in {
        SCARD.W_UNPOWERED_CARD,
        SCARD.W_UNRESPONSIVE_CARD,
    }
    assert program.connect(ours.name(0), Share.DIRECT, 0).status().atr == b""
