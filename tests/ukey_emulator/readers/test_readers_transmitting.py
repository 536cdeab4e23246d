"""Commands and answers, attributes and controls."""

import threading

import pytest
from sides import Ours, Side
from stand_in import ATR, OK, PLAIN, READ, StandIn, echo, give, write
from winscard import Failed, Program, outcome

from ukey_emulator.readers.terms import SCARD, Attribute, Protocol, Share

GET_FEATURE_REQUEST = 0x42000D48
LONGEST_OF_VPCD = 65535


@pytest.mark.parametrize("size", [1, 255, 256, 264, 265, 4096, 32767])
def test_lengths(side: Side, card: StandIn, reader: str, size: int) -> None:
    del card
    connection = side.program().connect(reader)
    data = bytes(n % 251 for n in range(size))
    assert connection.transmit(echo(data)) == data + OK
    assert connection.transmit(give(size)) == bytes(n & 0xFF for n in range(size)) + OK
    assert connection.transmit(PLAIN) == OK


def test_the_longest(ours: Ours) -> None:
    """A full command is too long for vpcd, whose messages count to 65535."""
    ours.insert(0, StandIn())
    connection = ours.program().connect(ours.name(0))
    data = bytes(0xFFFF)
    assert len(echo(data)) > LONGEST_OF_VPCD
    for _ in range(3):
        assert connection.transmit(echo(data)) == data + OK
        assert connection.transmit(give(0xFFFF))[-2:] == OK
    assert connection.transmit(PLAIN) == OK


def test_too_little_room(side: Side, card: StandIn, reader: str) -> None:
    del card
    connection = side.program().connect(reader)
    with pytest.raises(Failed) as failed:
        connection.transmit(give(300), room=258)
    assert (failed.value.rv, failed.value.needed) == (SCARD.E_INSUFFICIENT_BUFFER, 302)
    assert connection.transmit(give(256), room=258)[-2:] == OK


def test_raw_and_old_protocols(side: Side, card: StandIn, reader: str) -> None:
    del card
    connection = side.program().connect(reader)
    assert connection.transmit(PLAIN, Protocol.RAW) == OK
    assert connection.transmit(PLAIN, Protocol.ANY_OLD) == OK
    direct = side.program().connect(reader, Share.DIRECT, 0)
    assert direct.protocol == Protocol.T1
    assert direct.transmit(PLAIN) == OK


def test_cards_are_apart(side: Side, card: StandIn, reader: str) -> None:
    other_card = StandIn()
    side.insert(1, other_card)
    program = side.program()
    first, second = program.connect(reader), program.connect(side.name(1))
    done = list(card.done)
    first.transmit(write(1))
    second.begin()
    second.transmit(write(2))
    assert (first.transmit(READ), second.transmit(READ)) == (b"\1" + OK, b"\2" + OK)
    side.remove(1)
    assert first.transmit(READ) == b"\1" + OK
    assert card.done == done


def test_what_readers_have_not(side: Side, card: StandIn, reader: str) -> None:
    del card
    connection = side.program().connect(reader)
    assert outcome(connection.attribute, 0xFFFFFFFF) == SCARD.E_UNSUPPORTED_FEATURE
    assert outcome(connection.set_attribute, 0x10100, b"x") == SCARD.E_NOT_TRANSACTED
    assert outcome(connection.control, 0x42000001) == SCARD.E_UNSUPPORTED_FEATURE


def test_attributes(ours: Ours) -> None:
    """Those of a USB token's reader; vpcd has none of them, and spoils the name to pcscd."""
    ours.insert(0, StandIn(serial="00112233"))
    connection = ours.program().connect(ours.name(0))
    name = ours.name(0).encode() + b"\0"
    assert connection.attribute(Attribute.DEVICE_FRIENDLY_NAME) == name
    assert connection.attribute(Attribute.DEVICE_SYSTEM_NAME, len(name)) == name
    with pytest.raises(Failed) as failed:
        connection.attribute(Attribute.DEVICE_FRIENDLY_NAME, len(name) - 1)
    assert (failed.value.rv, failed.value.needed) == (SCARD.E_INSUFFICIENT_BUFFER, len(name))
    assert connection.attribute(Attribute.ATR_STRING) == ATR
    assert connection.attribute(Attribute.VENDOR_NAME) == b"ukeylab\0"
    assert connection.attribute(Attribute.VENDOR_IFD_SERIAL_NO) == b"00112233\0"
    assert connection.attribute(Attribute.VENDOR_IFD_VERSION)[3] == 1
    assert connection.attribute(Attribute.CURRENT_PROTOCOL_TYPE) == bytes([2, 0, 0, 0])
    assert connection.attribute(Attribute.ICC_PRESENCE) == b"\2"
    assert connection.attribute(Attribute.ICC_INTERFACE_STATUS) == b"\1"
    empty = ours.program().connect(ours.name(1), Share.DIRECT, 0)
    assert empty.attribute(Attribute.ICC_PRESENCE) == b"\0"
    assert outcome(empty.attribute, Attribute.ATR_STRING) == SCARD.E_NOT_TRANSACTED


def test_features(ours: Ours) -> None:
    """PC/SC part 10: the reader takes long commands. vpcd 3.3 answers no control at all."""
    connection = ours.program().connect(ours.name(0), Share.DIRECT, 0)
    features = connection.control(GET_FEATURE_REQUEST)
    assert features[:2] == b"\x12\x04"
    properties = connection.control(int.from_bytes(features[2:6]))
    assert bytes.fromhex("0A0400000100") in properties
    assert outcome(connection.control, GET_FEATURE_REQUEST, b"", 3) == SCARD.E_INSUFFICIENT_BUFFER


def test_many_programs(side: Side, card: StandIn, reader: str) -> None:
    """Each in transactions of its own, in which nobody else writes."""
    del card
    wrong: list[object] = []

    def work(program: Program, number: int) -> None:
        try:
            connection = program.connect(reader)
            for _ in range(10):
                connection.begin()
                connection.transmit(write(number))
                if connection.transmit(READ) != bytes([number]) + OK:
                    wrong.append(number)
                connection.end()
        except Failed as failed:
            wrong.append(failed)

    threads = [
        threading.Thread(target=work, args=(side.program(), number), daemon=True)
        for number in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert wrong == []
