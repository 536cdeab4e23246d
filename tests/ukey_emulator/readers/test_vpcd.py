"""The link to vpcd, with the test in vpcd's place."""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import pytest
from sides import within
from stand_in import ATR, OK, PLAIN, READ, SLOW, StandIn, echo, write

from ukey_emulator.readers.vpcd import Link

POWER_OFF, POWER_ON, RESET, GET_ATR = b"\x00", b"\x01", b"\x02", b"\x04"


class Vpcd:
    """One reader of vpcd; messages are sent as Debian's 3.3 sends them, in two segments."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(10)
        self.port = self._listener.getsockname()[1]

    def accept(self) -> None:
        self.line, _ = self._listener.accept()
        self.line.settimeout(10)

    def tell(self, message: bytes) -> None:
        self.line.sendall(struct.pack(">H", len(message)))
        self.line.sendall(message)

    def ask(self, message: bytes) -> bytes:
        self.tell(message)
        return self.hear()

    def hear(self) -> bytes:
        return self._take(int.from_bytes(self._take(2)))

    def power(self) -> bytes:
        """Do as pcscd does when a card comes."""
        self.ask(GET_ATR)
        self.tell(POWER_ON)
        return self.ask(GET_ATR)

    def is_broken_off(self) -> bool:
        """Tell whether it ends in the middle of an answer, and not in order."""
        received = b""
        try:
            while more := self.line.recv(1):
                received += more
        except ConnectionResetError:
            return len(received) == 2
        return False

    def hang_up(self) -> None:
        self.line.close()

    def close(self) -> None:
        self._listener.close()
        if hasattr(self, "line"):
            self.line.close()

    def _take(self, count: int) -> bytes:
        taken = self.line.recv(count, socket.MSG_WAITALL) if count else b""
        assert len(taken) == count
        return taken


@pytest.fixture
def vpcd() -> Iterator[Vpcd]:
    made = Vpcd()
    yield made
    made.close()


@pytest.fixture
def link(vpcd: Vpcd) -> Iterator[Link]:
    made = Link(vpcd.port)
    yield made
    made.close()


@pytest.fixture
def card(vpcd: Vpcd, link: Link) -> StandIn:
    card = StandIn()
    link.insert(card)
    vpcd.accept()
    return card


def test_the_control_bytes_are_done_and_only_the_atr_is_answered(vpcd: Vpcd, card: StandIn) -> None:
    for control in (POWER_ON, RESET, POWER_OFF, POWER_ON, b"\x05"):
        vpcd.tell(control)
    assert vpcd.ask(GET_ATR) == ATR
    assert card.done == ["on", "reset", "off", "on"]


def test_commands_are_answered(vpcd: Vpcd, card: StandIn) -> None:
    vpcd.power()
    assert vpcd.ask(write(7)) == OK
    assert vpcd.ask(READ) == b"\x07" + OK
    vpcd.tell(RESET)
    assert vpcd.ask(READ) == b"\x00" + OK
    assert card.powered


@pytest.mark.parametrize("count", [0, 1, 255, 4096, 0xFFFF - 9])
def test_commands_of_any_length_are_answered(vpcd: Vpcd, card: StandIn, count: int) -> None:
    data = bytes(n % 251 for n in range(count))
    assert vpcd.ask(echo(data)) == data + OK
    assert card.done == []


def test_an_answer_that_no_message_can_carry(vpcd: Vpcd, card: StandIn) -> None:
    card.transmit = lambda _: bytes(0x10000) + OK  # type: ignore[method-assign]
    assert vpcd.ask(PLAIN) == b"\x6f\x00"
    card.transmit = lambda _: bytes(0xFFFD) + OK  # type: ignore[method-assign]
    assert vpcd.ask(PLAIN) == bytes(0xFFFD) + OK


def test_messages_that_come_in_pieces_or_together(vpcd: Vpcd, card: StandIn) -> None:
    message = echo(b"data")
    framed = struct.pack(">H", len(message)) + message
    vpcd.line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for byte in framed:
        vpcd.line.sendall(bytes([byte]))
    assert vpcd.hear() == b"data" + OK
    vpcd.line.sendall(b"\x00\x01\x01" + framed + framed + b"\x00\x01\x04" + framed[:5])
    vpcd.line.sendall(framed[5:])
    assert [vpcd.hear() for _ in range(4)] == [b"data" + OK, b"data" + OK, ATR, b"data" + OK]
    assert card.done == ["on"]


def test_what_vpcd_sends_is_acknowledged_at_once(vpcd: Vpcd, link: Link, card: StandIn) -> None:
    # Else vpcd waits 40 ms with the second part of each message. The kernel forgets it each time.
    for _ in range(20):
        assert vpcd.ask(PLAIN) == OK
        line = link._connection
        assert line is not None
        at_once = partial(line.getsockopt, socket.IPPROTO_TCP, socket.TCP_QUICKACK)
        assert within(10, at_once)
    assert card.done == []


def test_what_vpcd_never_sends_is_passed_over(vpcd: Vpcd, card: StandIn) -> None:
    vpcd.tell(b"")
    vpcd.tell(b"\xff")
    assert vpcd.ask(GET_ATR) == ATR
    assert card.done == []


def test_a_card_is_at_work_when_it_has_power(vpcd: Vpcd, link: Link) -> None:
    assert not link.wait(0)
    link.insert(StandIn())
    vpcd.accept()
    vpcd.ask(GET_ATR)
    vpcd.ask(GET_ATR)
    assert not link.wait(0)
    vpcd.power()
    assert link.wait(10)
    link.remove()
    assert not link.wait(0)


def test_a_card_whose_reader_has_gone_is_without_power_and_comes_back(
    vpcd: Vpcd, card: StandIn
) -> None:
    for _ in range(3):
        assert vpcd.power() == ATR
        assert vpcd.ask(write(7)) == OK
        card.done.clear()
        vpcd.hang_up()
        vpcd.accept()
        assert card.done == ["off"]
    assert vpcd.power() == ATR
    assert vpcd.ask(READ) == b"\x00" + OK


def test_a_card_waits_for_a_reader_that_is_not_there_yet() -> None:
    with socket.socket() as later, closed_after(Link(_bound(later))) as link:
        card = StandIn()
        link.insert(card)
        assert not link.wait(0.3)
        later.listen()
        later.settimeout(10)
        line, _ = later.accept()
        with line:
            line.sendall(b"\x00\x01\x04")
            assert line.recv(7, socket.MSG_WAITALL) == b"\x00\x05" + ATR


def test_a_card_that_is_pulled_out_breaks_the_connection(
    vpcd: Vpcd, link: Link, card: StandIn
) -> None:
    vpcd.power()
    link.remove()
    assert vpcd.is_broken_off()
    assert within(10, lambda: card.done[-1] == "off")


def test_a_card_that_is_pulled_out_at_work_answers_nothing(
    vpcd: Vpcd, link: Link, card: StandIn
) -> None:
    vpcd.power()
    vpcd.tell(SLOW)
    assert card.entered.wait(10)
    link.remove()
    card.go_on.set()
    assert vpcd.is_broken_off()


def test_another_card_comes_by_a_connection_of_its_own(
    vpcd: Vpcd, link: Link, card: StandIn
) -> None:
    vpcd.power()
    link.insert(StandIn(b"\x3b\x00"))
    assert vpcd.is_broken_off()
    vpcd.accept()
    assert vpcd.power() == b"\x3b\x00"
    assert within(10, lambda: card.done == ["on", "off"])


def test_a_card_can_go_while_no_reader_is_there(vpcd: Vpcd, link: Link) -> None:
    link.insert(StandIn())
    vpcd.accept()
    link.remove()
    link.insert(StandIn(b"\x3b\x00"))
    vpcd.accept()
    assert vpcd.ask(GET_ATR) == b"\x3b\x00"


@pytest.mark.parametrize("state", ["empty", "refused", "connected", "at work"])
def test_nothing_is_left_of_a_closed_link(vpcd: Vpcd, state: str) -> None:
    name = f"ukey-vpcd-{vpcd.port}"
    link = Link(vpcd.port)
    if state == "refused":
        vpcd.close()
    if state != "empty":
        link.insert(StandIn())
    if state in {"connected", "at work"}:
        vpcd.accept()
    if state == "at work":
        vpcd.power()
    assert any(thread.name == name for thread in threading.enumerate())
    link.close()
    assert not any(thread.name == name for thread in threading.enumerate())


@contextmanager
def closed_after(link: Link) -> Iterator[Link]:
    yield link
    link.close()


def _bound(to_listen: socket.socket) -> int:
    to_listen.bind(("127.0.0.1", 0))
    return int(to_listen.getsockname()[1])
