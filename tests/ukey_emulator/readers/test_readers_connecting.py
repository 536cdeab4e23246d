"""Connecting to a card: shares, protocols, what becomes of the card (facts of pcscd 1.9.9)."""

import pytest
from sides import Ours, Side, Waiting, within
from stand_in import ATR, OK, PLAIN, READ, SLOW, StandIn, write
from winscard import ANY, CHANGED, EXCLUSIVE, INUSE, PRESENT, outcome
from wire import Wire

from ukey_emulator.readers.messages import CONNECT
from ukey_emulator.readers.terms import SCARD, Command, Disposition, Protocol, Share, State


def test_without_a_card(side: Side) -> None:
    """RD-01."""
    program, reader = side.program(), side.name(0)
    assert outcome(program.connect, reader) == SCARD.E_NO_SMARTCARD
    assert outcome(program.connect, reader, Share.EXCLUSIVE) == SCARD.E_NO_SMARTCARD
    direct = program.connect(reader, Share.DIRECT, 0)
    assert direct.protocol == Protocol.UNDEFINED
    status = direct.status()
    assert (status.reader, status.atr) == (reader, b"")
    assert status.state & State.ABSENT
    assert outcome(direct.transmit, PLAIN, Protocol.T1) == SCARD.E_NO_SMARTCARD
    assert outcome(direct.transmit, PLAIN, Protocol.RAW) == SCARD.E_NOT_TRANSACTED
    assert outcome(direct.reconnect) == SCARD.E_NO_SMARTCARD
    assert outcome(direct.reconnect, initialization=Disposition.RESET) == SCARD.E_NO_SMARTCARD
    assert outcome(direct.status) == SCARD.W_RESET_CARD
    direct.disconnect(Disposition.RESET)


@pytest.mark.parametrize(
    ("wanted", "active"),
    [
        (Protocol.T0, Protocol.T0),
        (Protocol.T1, Protocol.T1),
        (ANY, Protocol.T1),
        (Protocol.RAW, Protocol.RAW),
        (ANY | Protocol.RAW, Protocol.RAW),
        (Protocol.ANY_OLD, Protocol.T1),
    ],
)
def test_protocols(
    side: Side, card: StandIn, reader: str, wanted: Protocol, active: Protocol
) -> None:
    del card
    connection = side.program().connect(reader, protocols=wanted)
    assert connection.protocol == active
    assert connection.status().protocol == active
    assert connection.transmit(PLAIN) == OK


def test_a_protocol_that_is_not_spoken(side: Side, card: StandIn, reader: str) -> None:
    """RD-13, and that the first client chooses for all."""
    del card
    program = side.program()
    assert outcome(program.connect, reader, Share.SHARED, 0) == SCARD.E_PROTO_MISMATCH
    assert outcome(program.connect, reader, Share.SHARED, 8) == SCARD.E_PROTO_MISMATCH
    first = program.connect(reader, protocols=Protocol.T0)
    assert outcome(first.transmit, PLAIN, Protocol.T1) == SCARD.E_PROTO_MISMATCH
    assert outcome(program.connect, reader, Share.SHARED, Protocol.T1) == SCARD.E_PROTO_MISMATCH
    assert program.connect(reader, protocols=ANY).protocol == Protocol.T0
    assert outcome(first.reconnect, Share.SHARED, Protocol.T1) == SCARD.E_PROTO_MISMATCH
    assert first.reconnect(protocols=Protocol.T1, initialization=Disposition.RESET) == Protocol.T1


def test_a_card_of_one_protocol(side: Side) -> None:
    card = StandIn(atr=bytes.fromhex("3B00"))
    side.insert(0, card)
    program, reader = side.program(), side.name(0)
    assert outcome(program.connect, reader, Share.SHARED, Protocol.T1) == SCARD.E_PROTO_MISMATCH
    assert program.connect(reader).protocol == Protocol.T0


def test_what_nobody_can_be_connected_by(side: Side, card: StandIn, reader: str) -> None:
    del card
    program = side.program()
    assert outcome(program.connect, "no such reader 00 00") == SCARD.E_UNKNOWN_READER
    for share in (0, 4):
        assert outcome(program.connect, reader, share) == SCARD.E_INVALID_VALUE
    connection = program.connect(reader)
    assert outcome(connection.reconnect, 4) == SCARD.E_INVALID_VALUE
    assert outcome(connection.reconnect, Share.SHARED, ANY, 3) == SCARD.E_INVALID_VALUE
    assert outcome(connection.reconnect, Share.SHARED, 0) == SCARD.E_PROTO_MISMATCH
    assert outcome(connection.disconnect, 4) == SCARD.E_INVALID_VALUE
    assert outcome(connection.end, 4) == SCARD.E_INVALID_VALUE
    connection.disconnect()
    assert outcome(connection.disconnect) == SCARD.E_INVALID_HANDLE


def test_shared(side: Side, card: StandIn, reader: str) -> None:
    """RD-07."""
    del card
    one, other = side.program(), side.program()
    first, second = one.connect(reader), other.connect(reader)
    assert first.transmit(PLAIN) == second.transmit(PLAIN) == OK
    assert one.look(reader).flags == CHANGED | PRESENT | INUSE
    first.disconnect()
    assert one.look(reader).flags == CHANGED | PRESENT | INUSE
    second.disconnect()
    assert within(5, lambda: one.look(reader).flags == CHANGED | PRESENT)


def test_exclusive(side: Side, card: StandIn, reader: str) -> None:
    """RD-08."""
    del card
    one, other = side.program(), side.program()
    first = one.connect(reader, Share.EXCLUSIVE)
    assert other.look(reader).flags == CHANGED | PRESENT | EXCLUSIVE
    for share in Share:
        assert outcome(other.connect, reader, share) == SCARD.E_SHARING_VIOLATION
    assert first.transmit(PLAIN) == OK
    first.disconnect()
    second = other.connect(reader)
    assert outcome(one.connect, reader, Share.EXCLUSIVE) == SCARD.E_SHARING_VIOLATION
    third = one.connect(reader)
    becoming_alone = Waiting(lambda: third.reconnect(Share.EXCLUSIVE))
    assert becoming_alone.waits()
    second.disconnect()
    assert becoming_alone.outcome() == SCARD.S_SUCCESS
    assert outcome(other.connect, reader) == SCARD.E_SHARING_VIOLATION


def test_disconnecting_with_reset(side: Side, card: StandIn, reader: str) -> None:
    """RD-11."""
    one, other = side.program(), side.program()
    first, second = one.connect(reader), other.connect(reader)
    first.transmit(write(7))
    second.disconnect(Disposition.RESET)
    assert card.done[-1] == "reset"
    for call in (lambda: first.transmit(PLAIN), first.status, first.begin, first.end):
        assert outcome(call) == SCARD.W_RESET_CARD
    assert first.reconnect() == Protocol.T1
    assert first.transmit(READ) == b"\0" + OK


def test_reconnecting_without_power(side: Side, card: StandIn, reader: str) -> None:
    """RD-12, RD-16."""
    one, other = side.program(), side.program()
    first, second = one.connect(reader), other.connect(reader)
    first.transmit(write(7))
    first.reconnect(initialization=Disposition.UNPOWER)
    assert within(5, lambda: card.done[-2:] == ["off", "on"])  # nobody waits for it
    assert first.transmit(READ) == b"\0" + OK
    assert first.status().atr == ATR
    assert outcome(second.transmit, PLAIN) == SCARD.W_RESET_CARD
    second.reconnect(initialization=Disposition.RESET)
    assert second.status().atr == ATR
    assert outcome(first.status) == SCARD.W_RESET_CARD


def test_disconnecting_without_power(side: Side, card: StandIn, reader: str) -> None:
    one, other = side.program(), side.program()
    first, second = one.connect(reader), other.connect(reader)
    second.disconnect(Disposition.UNPOWER)
    assert within(5, lambda: card.done[-1] == "off")
    assert outcome(first.status) == SCARD.W_RESET_CARD
    first.disconnect()
    third = one.connect(reader)
    assert card.done[-1] == "on"
    assert third.transmit(PLAIN) == OK
    third.disconnect(Disposition.UNPOWER)
    direct = one.connect(reader, Share.DIRECT, 0)
    assert direct.status().state & 0xFFFF == State.PRESENT


def test_ejecting_leaves_the_card(side: Side, card: StandIn, reader: str) -> None:
    one, other = side.program(), side.program()
    first, second = one.connect(reader), other.connect(reader)
    done = list(card.done)
    first.transmit(write(7))
    second.disconnect(Disposition.EJECT)
    assert first.transmit(READ) == b"\7" + OK
    assert card.done == done


def test_power_goes_when_nobody_is_left(side: Side, card: StandIn, reader: str) -> None:
    """PV-45: what the card knew dies soon after the last disconnect, and no sooner."""
    program = side.program()
    first, second = program.connect(reader), program.connect(reader)
    second.transmit(write(7))
    first.disconnect()
    assert not within(1.2, lambda: card.done[-1] == "off")
    second.disconnect()
    third = program.connect(reader)
    assert third.transmit(READ) == b"\7" + OK
    third.disconnect()
    assert within(5, lambda: card.done[-1] == "off")
    fourth = program.connect(reader)
    assert card.done[-1] == "on"
    assert fourth.transmit(READ) == b"\0" + OK


def test_a_card_that_works_keeps_no_other_s_power_on(ours: Ours) -> None:
    """Nor what that knows: its power goes in time, however long the other one works."""
    at_work, left = StandIn(), StandIn(serial="FEDCBA9876543210")
    ours.insert(0, at_work)
    ours.insert(1, left)
    program = ours.program()
    program.connect(ours.name(0)).disconnect()  # whose power would go first
    connection = program.connect(ours.name(0))
    working = Waiting(lambda: connection.transmit(SLOW))
    assert at_work.entered.wait(5)
    ours.program().connect(ours.name(1)).disconnect()
    assert within(5, lambda: left.done[-1] == "off")
    at_work.go_on.set()
    assert working.outcome() == SCARD.S_SUCCESS


def test_two_at_once_of_which_one_wants_it_alone(ours: Ours) -> None:
    """Whoever comes first has it, and the other is told so."""
    ours.insert(0, StandIn())
    name = ours.name(0).encode()
    reader = ours.manager._readers.reader(name)
    for _ in range(3):
        with Wire(ours.address) as one, Wire(ours.address) as other:
            with reader.wire:  # so that both have found it free, and come no further
                for wire, share in ((one, Share.EXCLUSIVE), (other, Share.SHARED)):
                    wire.send(Command.CONNECT, wire.establish(), name, share, ANY, 0, 0, 0)
                    assert wire.silent()
            answers = [CONNECT.unpack(wire.take(CONNECT.size)) for wire in (one, other)]
            assert {rv for *_, rv in answers} == {SCARD.S_SUCCESS, SCARD.E_SHARING_VIOLATION}
        assert within(5, lambda: not reader.handles)


def test_a_released_context_leaves_its_cards(side: Side, card: StandIn, reader: str) -> None:
    program = side.program()
    program.connect(reader).transmit(write(7))
    program.connect(reader)
    done = list(card.done)
    program.release()
    assert card.done == done
    assert side.program().connect(reader, Share.EXCLUSIVE).transmit(READ) == b"\7" + OK


def test_sharing_what_one_had_alone(side: Side, card: StandIn, reader: str) -> None:
    """A card that was held alone stays locked when it is shared again, until it is ended."""
    del card
    first, program = side.program().connect(reader, Share.EXCLUSIVE), side.program()
    first.reconnect(Share.SHARED)
    newcomer = Waiting(lambda: program.connect(reader))
    assert newcomer.waits()
    first.end()
    assert newcomer.outcome() == SCARD.S_SUCCESS


def test_connecting_again_and_again(side: Side, card: StandIn, reader: str) -> None:
    """RD-20."""
    del card
    program = side.program()
    for _ in range(300):
        connection = program.connect(reader)
        assert connection.status().atr == ATR
        connection.disconnect()
