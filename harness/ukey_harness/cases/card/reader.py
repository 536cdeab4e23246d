"""The reader, as the resource manager shows it (PC/SC, winscard's functions): RD."""

import os
import signal
import threading
import time
from collections.abc import Callable

from ukey_harness.cases.card.atr import fault_of
from ukey_harness.cases.card.keys import AUTH, Algorithm, generate, public_key
from ukey_harness.cases.card.needs import acts
from ukey_harness.cases.card.piv import get_data, logged_in, manage, status, verify
from ukey_harness.cases.card.stand import CardStand
from ukey_harness.cases.case import Changes, Section, Unprepared
from ukey_harness.pcsc import Answer, Connection, Context, ReaderStatus
from ukey_harness.pcsc.context import (
    CHANGED,
    DIRECT,
    EMPTY,
    EXCLUSIVE,
    LEAVE,
    PLUG_AND_PLAY,
    PRESENT,
    RESET,
    SHARED,
    SUCCESS,
    T0,
    T1,
    UNAWARE,
    UNPOWER,
)

reader = Section("PC/SC", "The reader", sign="")

PATIENCE = 5.0  # seconds until something must have happened
SOON = 0.2  # seconds in which a thread has begun to wait
SELECT = bytes.fromhex("00A4040005A000000308")
# A reader that is pulled out with its card is not there any more.
GONE = "W_REMOVED_CARD | E_READER_UNAVAILABLE | E_NO_SMARTCARD | E_UNKNOWN_READER"
TIMES = 1000
moved = acts("take_out", "plug_in")


def in_thread(work: Callable[[], None]) -> threading.Thread:
    """Do that meanwhile; return when it has had time to begin."""
    begun = threading.Event()

    def run() -> None:
        begun.set()
        work()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    begun.wait(PATIENCE)
    time.sleep(SOON)
    return thread


def state_now(stand: CardStand) -> ReaderStatus:
    """SCardGetStatusChange of the reader as it is now."""
    name, states = stand.context.status_change([(stand.reader, UNAWARE)])
    if name != SUCCESS:
        raise Unprepared(f"SCardGetStatusChange returned {name}")
    return states[0]


def change_after(stand: CardStand, verb: str) -> tuple[ReaderStatus, ReaderStatus]:
    """Wait for a change of the reader, have that done, and return its state before and after."""
    before = state_now(stand)
    seen: list[ReaderStatus] = []

    def wait() -> None:
        known = before.state
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            left = max(0.0, deadline - time.monotonic())
            name, states = stand.context.status_change([(before.reader, known)], left)
            if name != SUCCESS:
                return
            seen.append(states[0])
            known = states[0].state
            if bool(known & PRESENT) != bool(before.state & PRESENT):
                return

    thread = in_thread(wait)
    stand.act(verb)
    thread.join(PATIENCE + 1)
    return before, seen[-1] if seen else before


def flags(status_: ReaderStatus) -> str:
    """Return which of CHANGED, PRESENT and EMPTY a state has."""
    told = {CHANGED: "CHANGED", PRESENT: "PRESENT", EMPTY: "EMPTY"}
    return " ".join(name for bit, name in told.items() if status_.state & bit) or "none"


@reader.case(
    "RD-01",
    "SCardConnect",
    "A reader without a card can be connected to directly only.",
    "E_NO_SMARTCARD, S_SUCCESS",
    allow=("E_READER_UNAVAILABLE | E_UNKNOWN_READER, E_READER_UNAVAILABLE | E_UNKNOWN_READER",),
    needs=(moved,),
)
def _rd_01(stand: CardStand) -> tuple[str, ...]:
    name = stand.reader
    stand.act("take_out")
    shared = stand.context.connect(name, SHARED)[0]
    return shared, stand.context.connect(name, DIRECT)[0]


@reader.case(
    "RD-02",
    "SCardGetStatusChange",
    "A card that is put in is told at once, with its ATR, and is counted.",
    "EMPTY, CHANGED PRESENT, an ATR, 1",
    needs=(moved,),
)
def _rd_02(stand: CardStand) -> tuple[str | int, ...]:
    state_now(stand)
    stand.act("take_out")
    before, after = change_after(stand, "plug_in")
    atr = "an ATR" if after.atr else "no ATR"
    return flags(before).removeprefix("CHANGED "), flags(after), atr, after.count - before.count


@reader.case(
    "RD-03",
    "SCardGetStatusChange",
    "A card that is taken out is told at once, and is counted.",
    "PRESENT, CHANGED EMPTY, no ATR, 1",
    needs=(moved,),
)
def _rd_03(stand: CardStand) -> tuple[str | int, ...]:
    before, after = change_after(stand, "take_out")
    atr = "an ATR" if after.atr else "no ATR"
    return flags(before).removeprefix("CHANGED "), flags(after), atr, after.count - before.count


@reader.case(
    "RD-04",
    "SCardTransmit",
    "Nothing can be sent to a card that was taken out.",
    "W_REMOVED_CARD, W_REMOVED_CARD",
    allow=(f"E_NOT_TRANSACTED | F_COMM_ERROR | {GONE}, {GONE}",),
    needs=(moved,),
)
def _rd_04(stand: CardStand) -> tuple[str, ...]:
    card = stand.card
    stand.act("take_out")
    return card.transmit(SELECT).word, card.transmit(SELECT).word


@reader.case(
    "RD-05",
    "SCardReconnect",
    "A card that was taken out and put back is another for those who held it, until they "
    "reconnect.",
    "W_RESET_CARD | W_REMOVED_CARD, S_SUCCESS, 9000",
    allow=("E_NOT_TRANSACTED, S_SUCCESS, 9000",),
    needs=(moved,),
)
def _rd_05(stand: CardStand) -> tuple[str, ...]:
    card = stand.card
    stand.act("take_out")
    stand.act("plug_in")
    first = card.transmit(SELECT).word
    return first, card.reconnect(), card.transmit(SELECT).word


@reader.case(
    "RD-06",
    "SCardEndTransaction",
    "A transaction whose card was taken out cannot be ended as if it were there.",
    "W_REMOVED_CARD",
    allow=(f"{GONE} | W_RESET_CARD",),
    needs=(moved,),
)
def _rd_06(stand: CardStand) -> str:
    card = stand.card
    card.begin()
    stand.act("take_out")
    return card.end()


@reader.case(
    "RD-07",
    "SCardConnect",
    "Two programs can share a card.",
    "S_SUCCESS, 9000, 9000",
)
def _rd_07(stand: CardStand) -> tuple[str, ...]:
    mine = stand.card
    name, other = stand.new_context().connect(stand.reader)
    if name != SUCCESS:
        return (name,)
    return name, other.transmit(SELECT).word, mine.transmit(SELECT).word


@reader.case(
    "RD-08",
    "SCardConnect",
    "A card is not shared with a program that has it for itself, nor had so where it is shared.",
    "E_SHARING_VIOLATION, S_SUCCESS, E_SHARING_VIOLATION",
)
def _rd_08(stand: CardStand) -> tuple[str, ...]:
    mine, others = stand.connect(), stand.new_context()
    first = others.connect(stand.reader, EXCLUSIVE)[0]
    mine.disconnect()
    alone = stand.context.connect(stand.reader, EXCLUSIVE)[0]
    return first, alone, others.connect(stand.reader)[0]


@reader.case(
    "RD-09",
    "SCardBeginTransaction",
    "While a program has a transaction, what another sends waits until it ends.",
    "S_SUCCESS, waits, S_SUCCESS, 9000",
)
def _rd_09(stand: CardStand) -> tuple[str, ...]:
    mine, other = stand.card, stand.connect(stand.new_context())
    answers: list[Answer] = []
    begun = mine.begin()
    thread = in_thread(lambda: answers.append(other.transmit(SELECT)))
    waits = "does not wait" if answers else "waits"
    ended = mine.end()
    thread.join(PATIENCE)
    return begun, waits, ended, answers[0].word if answers else "waits still"


@reader.case(
    "RD-10",
    "SCardEndTransaction",
    "A transaction that was not begun cannot be ended.",
    "E_NOT_TRANSACTED",
)
def _rd_10(stand: CardStand) -> str:
    return stand.card.end()


def _after_reset(stand: CardStand, disturb: Callable[[Connection], str]) -> tuple[str, ...]:
    """Have another program reset the card; return what this one sees then."""
    mine, other = stand.card, stand.connect(stand.new_context())
    done = disturb(other)
    told = mine.transmit(SELECT).word
    return done, told, mine.reconnect(), mine.transmit(SELECT).word


@reader.case(
    "RD-11",
    "SCardDisconnect",
    "A card that one program resets as it leaves is refused to the others until they reconnect.",
    "S_SUCCESS, W_RESET_CARD, S_SUCCESS, 9000",
)
def _rd_11(stand: CardStand) -> tuple[str, ...]:
    return _after_reset(stand, lambda other: other.disconnect(RESET))


@reader.case(
    "RD-12",
    "SCardReconnect",
    "A card whose power one program cuts is refused to the others until they reconnect, and has "
    "its ATR again.",
    "S_SUCCESS, W_RESET_CARD, S_SUCCESS, 9000, same",
)
def _rd_12(stand: CardStand) -> tuple[str, ...]:
    before = stand.card.status()[1]
    seen = _after_reset(stand, lambda other: other.reconnect(UNPOWER))
    after = stand.card.status()[1]
    return *seen, "same" if before and after == before else after.hex()


@reader.case(
    "RD-13",
    "SCardTransmit",
    "A command is refused that is sent by another protocol than was agreed on.",
    "E_PROTO_MISMATCH, 9000",
)
def _rd_13(stand: CardStand) -> tuple[str, ...]:
    card = stand.card
    other = T0 if card.protocol == T1 else T1
    return card.transmit(SELECT, other).word, card.transmit(SELECT).word


@reader.case(
    "RD-14",
    "SCardCancel",
    "A wait for a change is ended by who cancels it.",
    "S_SUCCESS, E_CANCELLED",
)
def _rd_14(stand: CardStand) -> tuple[str, ...]:
    known = state_now(stand)
    names: list[str] = []

    def wait() -> None:
        names.append(stand.context.status_change([(known.reader, known.state)], PATIENCE)[0])

    thread = in_thread(wait)
    cancelled = stand.context.cancel()
    while thread.is_alive():  # it may have begun to wait only after that
        thread.join(SOON)
        stand.context.cancel()
    return cancelled, names[0] if names else "waits still"


@reader.case(
    "RD-15",
    "SCardGetStatusChange",
    "A reader that is plugged in is told to those who wait for readers, and is listed.",
    "S_SUCCESS, CHANGED, 1",
    needs=(acts("add_token"),),
)
def _rd_15(stand: CardStand) -> tuple[str | int, ...]:
    before = stand.context.readers()
    waiting = stand.new_context()
    seen: list[tuple[str, list[ReaderStatus]]] = []

    def wait() -> None:
        seen.append(waiting.status_change([(PLUG_AND_PLAY, UNAWARE)], PATIENCE))

    thread = in_thread(wait)
    stand.act("add_token")
    thread.join(PATIENCE + 1)
    name, states = seen[0] if seen else ("waits still", [])
    told = "CHANGED" if states and states[0].state & CHANGED else "not changed"
    return name, told, len(stand.context.readers()) - len(before)


@reader.case(
    "RD-16",
    "SCardStatus",
    "The ATR is well formed (ISO/IEC 7816-3 §8.2), and a reset gives it again.",
    "well formed, S_SUCCESS, same",
)
def _rd_16(stand: CardStand) -> tuple[str, ...]:
    before = stand.card.status()[1]
    reset = stand.card.reconnect(RESET)
    after = stand.card.status()[1]
    return fault_of(before) or "well formed", reset, "same" if after == before else after.hex()


def _die_in_transaction(stand: CardStand, ready: int) -> None:
    """Be another program: give the PIN in a transaction, say so, and be killed."""
    connection = Context().connect(stand.reader)[1]
    connection.begin()
    connection.transmit(SELECT)
    verify(stand, card=connection)
    os.write(ready, b".")
    os.kill(os.getpid(), signal.SIGKILL)


@reader.case(
    "RD-17",
    "SCardBeginTransaction",
    "A program that dies in a transaction leaves the card free, reset, and the PIN not given.",
    "W_RESET_CARD, S_SUCCESS, 63CX",
    allow=("9000, S_SUCCESS, 63CX",),
)
def _rd_17(stand: CardStand) -> tuple[str, ...]:
    logged_in(stand)  # it is right, so that nobody loses a try below
    stand.renew()
    card = stand.card
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            _die_in_transaction(stand, write)
        finally:
            os._exit(1)
    os.close(write)
    told = os.read(read, 1)
    os.waitpid(child, 0)
    if not told:
        raise Unprepared("another program could not begin a transaction")
    first = card.transmit(SELECT).word
    return first, *_settled(stand, card)


def _settled(stand: CardStand, card: Connection) -> tuple[str, str]:
    """Reconnect, and ask whether the PIN is given; again while the card is still being reset.

    What a program has left behind is cleared away step by step, and pcscd resets the card twice.
    """
    deadline = time.monotonic() + PATIENCE
    while True:
        name = card.reconnect()
        card.transmit(SELECT)
        state = status(stand).kind
        if state not in {"W_RESET_CARD", "E_PROTO_MISMATCH"} or time.monotonic() > deadline:
            return name, state
        time.sleep(SOON)


@reader.case(
    "RD-18",
    "SCardTransmit",
    "A card that is taken out while it answers gives an error, and nothing afterwards.",
    "refused, no data, refused",
    needs=(moved,),
)
def _rd_18(stand: CardStand) -> tuple[str, ...]:
    card, wanted = stand.card, get_data(stand, 0x7E)
    answers: list[Answer] = []
    out = threading.Event()

    def work() -> None:
        while not out.is_set():
            answer = stand.ask(0xCB, 0x3F, 0xFF, bytes.fromhex("5C017E"), card=card)
            if answer != wanted:
                answers.append(answer)
                return

    thread = in_thread(work)
    stand.act("take_out")
    thread.join(SOON)
    out.set()
    thread.join(PATIENCE)
    last = card.transmit(SELECT)
    first = answers[0] if answers else wanted
    return (
        "answered" if first.sw else "refused",
        "data" if first.data else "no data",
        "answered" if last.sw else "refused",
    )


@reader.case(
    "RD-19",
    "SCardTransmit",
    "A command that takes the card long is waited for.",
    "9000, a key",
    changes=Changes.TOKEN,
    limit=120.0,
)
def _rd_19(stand: CardStand) -> tuple[str, ...]:
    manage(stand)
    for algorithm in (Algorithm.RSA_3072, Algorithm.RSA_2048):
        begun = time.monotonic()
        answer = generate(stand, AUTH, algorithm)
        if answer.word not in {"6A80", "6A86"}:  # the card has no such algorithm
            break
    stand.note(f"{algorithm.name} took {time.monotonic() - begun:.1f} s")
    key = public_key(algorithm, answer.data)
    return answer.word, "a key" if key is not None else "no key"


@reader.case(
    "RD-20",
    "SCardConnect",
    f"A card can be connected to and left {TIMES} times; it stays the same.",
    "S_SUCCESS, 1, same, 9000",
    limit=120.0,
)
def _rd_20(stand: CardStand) -> tuple[str | int, ...]:
    name = stand.reader
    before = stand.connect().status()[1]
    names: dict[str, int] = {}
    for _ in range(TIMES):
        connected, connection = stand.context.connect(name)
        left = connection.disconnect(LEAVE) if connected == SUCCESS else connected
        names[left] = names.get(left, 0) + 1
    after = stand.card.status()[1]
    answer = stand.card.transmit(SELECT).word
    return " ".join(names), len(names), "same" if after == before else after.hex(), answer
