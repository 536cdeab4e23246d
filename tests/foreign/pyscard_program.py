"""A program that uses pyscard's own classes: pyscard_program.py monitors | exclusively | locked.

`monitors` prints what CardMonitor and ReaderMonitor tell of until standard input ends. The others
have the card for themselves, by an exclusive connection or by a transaction, print what it answers
to SELECT, and let it go when standard input ends.
"""

import sys

from smartcard.CardMonitoring import CardMonitor, CardObserver
from smartcard.CardRequest import CardRequest
from smartcard.ExclusiveConnectCardConnection import ExclusiveConnectCardConnection
from smartcard.ExclusiveTransmitCardConnection import ExclusiveTransmitCardConnection
from smartcard.ReaderMonitoring import ReaderMonitor, ReaderObserver
from smartcard.scard import SCARD_LEAVE_CARD
from smartcard.util import toBytes, toHexString

PERIOD = 0.5  # in seconds: readers are asked for that often, where cards are waited for
SELECT = toBytes("00 A4 04 00 05 A0 00 00 03 08 00")
KINDS = {
    "exclusively": ExclusiveConnectCardConnection,
    "locked": ExclusiveTransmitCardConnection,
}


def tell(*words: object) -> None:
    print(*words, flush=True)  # noqa: T201


class Cards(CardObserver):  # type: ignore[misc]
    def update(self, observable: object, handlers: tuple[list, list]) -> None:  # type: ignore[type-arg]
        del observable
        for sign, cards in zip("+-", handlers, strict=True):
            for card in cards:
                tell("card", sign, card.reader, toHexString(card.atr))


class Readers(ReaderObserver):  # type: ignore[misc]
    def update(self, observable: object, handlers: tuple[list, list]) -> None:  # type: ignore[type-arg]
        del observable
        for sign, readers in zip("+-", handlers, strict=True):
            for reader in readers:
                tell("reader", sign, reader)


def watch() -> None:
    cards, readers = Cards(), Readers()
    card_monitor, reader_monitor = CardMonitor(), ReaderMonitor(period=PERIOD)
    card_monitor.addObserver(cards)
    reader_monitor.addObserver(readers)
    tell("watching")
    sys.stdin.read()
    reader_monitor.deleteObserver(readers)


def hold(kind: str) -> None:
    service = CardRequest(timeout=10).waitforcard()  # whose end is the connection's too
    connection = KINDS[kind](service.connection)
    connection.connect(disposition=SCARD_LEAVE_CARD)  # or who waits finds the card reset
    if kind == "locked":
        connection.lock()
    data, first, second = connection.transmit(SELECT)
    tell(bytes([*data, first, second]).hex())
    sys.stdin.read()
    if kind == "locked":
        connection.unlock()
    connection.disconnect()


if __name__ == "__main__":
    watch() if sys.argv[1] == "monitors" else hold(sys.argv[1])
