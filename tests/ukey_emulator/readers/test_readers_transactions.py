"""Transactions: one has the card, the others wait."""

import subprocess
import sys
from pathlib import Path

from sides import Side, Waiting, within
from stand_in import OK, PLAIN, READ, StandIn, write
from winscard import Connection, outcome

from ukey_emulator.readers.terms import SCARD, Disposition, Share


def two(side: Side, reader: str) -> tuple[Connection, Connection]:
    return side.program().connect(reader), side.program().connect(reader)


def test_others_wait(side: Side, card: StandIn, reader: str) -> None:
    """RD-09: whatever needs the card or the reader; beginning another transaction, too."""
    del card
    first, *others = (side.program().connect(reader) for _ in range(5))
    first.begin()
    calls = [
        Waiting(lambda: others[0].transmit(PLAIN)),
        Waiting(others[1].status),
        Waiting(others[2].begin),
        Waiting(others[3].reconnect),
    ]
    for call in calls:
        assert call.waits()
    assert first.transmit(PLAIN) == OK
    first.end()
    assert calls[2].outcome() == SCARD.S_SUCCESS
    others[2].end()
    assert [call.outcome() for call in calls] == [SCARD.S_SUCCESS] * 4


def test_who_comes_waits(side: Side, card: StandIn, reader: str) -> None:
    """Connecting waits for the end of a transaction, whatever share is wanted."""
    del card
    first = side.program().connect(reader)
    first.begin()
    one, other = side.program(), side.program()
    newcomers = [
        Waiting(lambda: one.connect(reader, Share.SHARED)),
        Waiting(lambda: other.connect(reader, Share.DIRECT, 0)),
    ]
    assert all(each.waits() for each in newcomers)
    first.end()
    assert [each.outcome() for each in newcomers] == [SCARD.S_SUCCESS] * 2


def test_who_goes_with_a_reset_waits(side: Side, card: StandIn, reader: str) -> None:
    first, second = two(side, reader)
    third = side.program().connect(reader)
    first.begin()
    second.disconnect()
    going = Waiting(lambda: third.disconnect(Disposition.RESET))
    assert going.waits()
    assert "reset" not in card.done
    first.end()
    assert going.outcome() == SCARD.S_SUCCESS
    assert card.done[-1] == "reset"


def test_nothing_to_end(side: Side, card: StandIn, reader: str) -> None:
    """RD-10."""
    del card
    first, second = two(side, reader)
    assert outcome(first.end) == SCARD.E_NOT_TRANSACTED
    first.begin()
    assert outcome(second.end) == SCARD.E_SHARING_VIOLATION
    assert outcome(second.end, Disposition.RESET) == SCARD.E_SHARING_VIOLATION
    first.end()
    assert outcome(first.end) == SCARD.E_NOT_TRANSACTED


def test_nested(side: Side, card: StandIn, reader: str) -> None:
    """Each begin has its end."""
    del card
    first, second = two(side, reader)
    first.begin()
    first.begin()
    waiting = Waiting(lambda: second.transmit(PLAIN))
    first.end()
    assert waiting.waits()
    first.end()
    assert waiting.outcome() == SCARD.S_SUCCESS
    assert outcome(first.end) == SCARD.E_NOT_TRANSACTED


def test_alone(side: Side, card: StandIn, reader: str) -> None:
    """Who has the card alone may begin and end, and has it alone still."""
    del card
    program = side.program()
    connection = program.connect(reader, Share.EXCLUSIVE)
    assert outcome(connection.end) == SCARD.E_NOT_TRANSACTED
    connection.begin()
    connection.end()
    assert outcome(connection.end) == SCARD.E_NOT_TRANSACTED
    assert outcome(side.program().connect, reader) == SCARD.E_SHARING_VIOLATION


def test_ending_with_a_reset(side: Side, card: StandIn, reader: str) -> None:
    first, second = two(side, reader)
    first.begin()
    first.transmit(write(7))
    first.end(Disposition.RESET)
    assert within(5, lambda: card.done[-1] == "reset")
    for each in (first, second):
        assert outcome(each.transmit, PLAIN) == SCARD.W_RESET_CARD
        each.reconnect()
        assert each.transmit(READ) == b"\0" + OK
    second.begin()
    second.end(Disposition.UNPOWER)
    assert within(5, lambda: card.done[-2:] == ["off", "on"])
    assert outcome(first.begin) == outcome(second.end) == SCARD.W_RESET_CARD


def test_ending_with_a_reset_without_beginning(side: Side, card: StandIn, reader: str) -> None:
    first, second = two(side, reader)
    assert outcome(first.end, Disposition.RESET) == SCARD.E_NOT_TRANSACTED
    assert card.done[-1] == "reset"
    assert outcome(second.status) == SCARD.W_RESET_CARD


def test_disconnecting_ends_it(side: Side, card: StandIn, reader: str) -> None:
    first, second = two(side, reader)
    first.begin()
    first.begin()
    first.transmit(write(7))
    first.disconnect()
    assert second.transmit(READ) == b"\7" + OK
    assert "reset" not in card.done


def test_releasing_the_context_resets_the_card(side: Side, card: StandIn, reader: str) -> None:
    program = side.program()
    first, second = program.connect(reader), side.program().connect(reader)
    first.begin()
    program.release()
    assert card.done[-1] == "reset"
    assert outcome(second.transmit, PLAIN) == SCARD.W_RESET_CARD


DIES = """
import sys
from pathlib import Path
from winscard import Program
connection = Program(Path(sys.argv[1])).connect(sys.argv[2])
for _ in range(int(sys.argv[3])):
    connection.begin()
print("begun", flush=True)
input()
"""


def killed_in_transactions(side: Side, reader: str, count: int) -> None:
    """Have a program begin so many transactions, and kill it."""
    words = [sys.executable, "-c", DIES, str(side.address), reader, str(count)]
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).parent
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        process.kill()


def test_a_program_that_dies(side: Side, card: StandIn, reader: str) -> None:
    """RD-17: the card is free again, and reset, for nobody knows what was half done."""
    first = side.program().connect(reader)
    killed_in_transactions(side, reader, 2)
    assert within(5, lambda: card.done[-1] == "reset")
    assert outcome(first.transmit, PLAIN) == SCARD.W_RESET_CARD
    first.reconnect()
    first.begin()
    assert first.transmit(PLAIN) == OK
    first.end()


def test_a_program_that_dies_outside(side: Side, card: StandIn, reader: str) -> None:
    first = side.program().connect(reader)
    first.transmit(write(7))
    killed_in_transactions(side, reader, 0)
    assert within(5, lambda: outcome(first.reconnect, Share.EXCLUSIVE) == SCARD.S_SUCCESS)
    assert first.transmit(READ) == b"\7" + OK
    assert "reset" not in card.done
