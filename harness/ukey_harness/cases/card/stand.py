"""The stand on which a card's case works: a reader, the card in it, and what is sent there."""

import threading
from collections.abc import Callable
from typing import Any

from ukey_harness.cases.case import NotApplicable, Unprepared
from ukey_harness.cases.subject import Subject, nobody_can
from ukey_harness.pcsc import Answer, Connection, Context
from ukey_harness.pcsc.apdu import chain, command
from ukey_harness.pcsc.context import LEAVE, RESET, SHARED, SUCCESS, UNPOWER
from ukey_harness.verdicts.record import Call, StepRecord

CALLS_KEPT = 300
PIV_SHORT = bytes.fromhex("A000000308")
GET_RESPONSE = 0xC0
MOST_RESPONSES = 1000  # after which a card is taken for one that never ends its answer

Act = Callable[..., dict[str, Any]]


class CardStand:
    """What a case has at hand. Answers are a card's status words, or names of PC/SC's returns.

    `card` is the connection of the case itself, with the PIV application selected; other
    programs are played by contexts of their own.
    """

    def __init__(self, subject: Subject, act: Act | None = None) -> None:
        self.subject = subject
        self.calls: list[Call] = []
        self.notes: list[str] = []
        self.trespasses: list[str] = []
        self.steps: list[StepRecord] = []
        self.kept: dict[int, bytes | None] = {}  # data objects as they were, of a card that is dear
        self.proven: dict[int, set[bytes]] = {}  # PINs by reference that the card has taken
        self.least: int | None = None  # the tries that were left when the card told it last
        self._act = act
        self._context: Context | None = None
        self._card: Connection | None = None
        self._lock = threading.Lock()

    # The resource manager

    @property
    def loaded(self) -> bool:
        """Whether anything was asked of the resource manager yet."""
        return self._context is not None

    @property
    def context(self) -> Context:
        """The context of the case itself."""
        if self._context is None:
            self._context = self.new_context()
        return self._context

    def new_context(self) -> Context:
        """SCardEstablishContext: another program, for all that the resource manager knows."""
        context = Context(self._watch)
        if context.name != SUCCESS:
            raise Unprepared(f"SCardEstablishContext returned {context.name}")
        return context

    def _watch(self, function: str, name: str, spent: int, arguments: dict[str, Any]) -> None:
        with self._lock:
            if len(self.calls) < CALLS_KEPT:
                self.calls.append(Call(function, name, spent, arguments))

    @property
    def reader(self) -> str:
        """The reader's full name: what is asked for need only be a part of it."""
        wanted = self.subject.reader
        readers = self.context.readers()
        found = [wanted] if wanted in readers else [each for each in readers if wanted in each]
        if not wanted or len(found) != 1:
            raise Unprepared(f"no one reader is {wanted!r}; there are: {', '.join(readers)}")
        return found[0]

    def connect(self, context: Context | None = None, share: int = SHARED) -> Connection:
        """SCardConnect, which the case needs to succeed."""
        name, connection = (context or self.context).connect(self.reader, share)
        if name != SUCCESS:
            raise Unprepared(f"SCardConnect returned {name}")
        return connection

    def act(self, verb: str, **more: object) -> dict[str, Any]:
        """Have the device's operator do something; NotApplicable when nobody can."""
        if self._act is None or verb not in self.subject.acts:
            raise NotApplicable(nobody_can(verb))
        return self._act(verb, **more)

    def note(self, text: str) -> None:
        """Leave a remark beside the verdict."""
        self.notes.append(text)

    # The card

    @property
    def card(self) -> Connection:
        """The case's own connection; PIV is selected when it is made."""
        if self._card is None:
            self._card = self.connect()
            self.select()
        return self._card

    def select(self, card: Connection | None = None) -> None:
        """SELECT of the PIV application, which must succeed."""
        answer = self.ask(0xA4, 0x04, 0x00, PIV_SHORT, card=card)
        if not answer.ok:
            raise Unprepared(f"SELECT of the PIV application gave {answer.word}")

    def renew(self, how: int = RESET) -> None:
        """Reset the card, or take its power (UNPOWER) and give it again; PIV is selected anew."""
        name = self.card.reconnect(how)
        if name != SUCCESS:
            raise Unprepared(f"SCardReconnect returned {name}")
        self.select()

    def leave(self) -> None:
        """Give the connection back, so that nobody holds the card."""
        if self._card is not None:
            self._card.disconnect(LEAVE)
            self._card = None

    def cut_power(self) -> None:
        """Take the card's power away and give it again, PIV selected."""
        self.renew(UNPOWER)

    def send(self, apdu: bytes | str, card: Connection | None = None) -> Answer:
        """Send one APDU as it is; text is read as hexadecimal."""
        content = bytes.fromhex(apdu) if isinstance(apdu, str) else apdu
        return (card or self.card).transmit(content)

    def ask(
        self,
        ins: int,
        p1: int,
        p2: int,
        data: bytes = b"",
        *,
        le: int | None = 256,
        card: Connection | None = None,
    ) -> Answer:
        """Put a command and take its whole answer: chained where long, GET RESPONSE until the end.

        The answer of a block before the last is the answer of all, if it is not 9000.
        """
        blocks = chain(ins, p1, p2, data, le=le)
        for block in blocks[:-1]:
            answer = self.send(block, card)
            if not answer.ok:
                return answer
        answer = self.send(blocks[-1], card)
        if answer.kind == "6CXX":
            answer = self.send(blocks[-1][:-1] + bytes([answer.sw & 0xFF]), card)
        return self.rest(answer, card)

    def rest(self, answer: Answer, card: Connection | None = None) -> Answer:
        """Take what an answer announces with 61xx; return all of it as one answer."""
        whole = answer.data
        for _ in range(MOST_RESPONSES):
            if answer.kind != "61XX":
                break
            answer = self.send(command(GET_RESPONSE, 0, 0, le=answer.sw & 0xFF or 256), card)
            whole += answer.data
        if answer.name != SUCCESS:
            return answer
        return Answer(SUCCESS, whole + answer.response[-2:])

    def must(
        self,
        ins: int,
        p1: int,
        p2: int,
        data: bytes = b"",
        *,
        le: int | None = 256,
        card: Connection | None = None,
    ) -> bytes:
        """Put a command that the case needs to succeed; return its data."""
        answer = self.ask(ins, p1, p2, data, le=le, card=card)
        if not answer.ok:
            raise Unprepared(f"{command(ins, p1, p2)[:4].hex(' ').upper()} gave {answer.word}")
        return answer.data
