"""Looks at a PIV card, and tries its lock, in a process of its own (see `examiner`).

`python -m ukey_harness.device.card_trial` takes one request as JSON from standard input and writes
one answer as JSON.
"""

import json
import sys
from collections.abc import Callable
from typing import Any

from ukey_harness.device.examiner import DeviceError
from ukey_harness.pcsc import Answer, Connection, Context
from ukey_harness.pcsc.apdu import command
from ukey_harness.pcsc.context import RESET, SUCCESS

SELECT = bytes.fromhex("00A4040005A00000030800")
GET_SERIAL, GET_VERSION, VERIFY, PIN = 0xF8, 0xFD, 0x20, 0x80
PIN_BYTES = 8


def main() -> None:
    """Answer one request."""
    request = json.load(sys.stdin)
    try:
        answer = _VERBS[request.pop("verb")](**request)
    except DeviceError as error:
        answer = {"error": str(error)}
    json.dump(answer, sys.stdout, ensure_ascii=False)


def examine(reader: str) -> dict[str, Any]:
    """Return what the card tells of itself; changes nothing."""
    card = _connect(reader)
    try:
        version = card.transmit(command(GET_VERSION, 0, 0, le=256))
        serial = card.transmit(command(GET_SERIAL, 0, 0, le=256))
        return {
            "slot": {"reader": reader, "atr": card.status()[1].hex().upper()},
            "token": {
                "model": "PIV",
                "serial": str(int.from_bytes(serial.data, "big")) if serial.ok else "",
                "firmware": ".".join(map(str, version.data)) if version.ok else "",
            },
            "tries_left": card.transmit(command(VERIFY, 0, PIN)).tries,
        }
    finally:
        card.disconnect(RESET)


def lock_trial(reader: str, pin: str, most: int) -> dict[str, Any]:
    """Give a wrong PIN up to `most` times and see whether the card locks itself.

    Only for cards that are made anew: afterwards this one may be locked for good.
    """
    wrong = ("0" if not pin.startswith("0") else "1") * len(pin)
    card = _connect(reader)
    try:
        seen: dict[str, Any] = {"locked_after": None, "tried": most}
        for count in range(1, most + 1):
            answer = _present(card, wrong)
            if answer.ok:
                raise DeviceError("the card accepted a wrong PIN")
            if count == 1:
                seen["after_one"] = {"tries_left": answer.tries}
            if answer.tries == 0:
                seen["locked_after"] = count
                break
        seen["right_pin"] = f"SW {_present(card, pin).word}"
        return seen
    finally:
        card.disconnect(RESET)


def _present(card: Connection, pin: str) -> Answer:
    return card.transmit(command(VERIFY, 0, PIN, pin.encode().ljust(PIN_BYTES, b"\xff")))


def _connect(reader: str) -> Connection:
    context = Context()
    if context.name != SUCCESS:
        raise DeviceError(f"there is no resource manager: SCardEstablishContext: {context.name}")
    name, card = context.connect(reader)
    if name != SUCCESS:
        raise DeviceError(f"the card in {reader} cannot be connected to: {name}")
    if not card.transmit(SELECT).kind.startswith(("9000", "61")):
        raise DeviceError(f"the card in {reader} has no PIV application")
    return card


_VERBS: dict[str, Callable[..., dict[str, Any]]] = {"examine": examine, "lock_trial": lock_trial}

if __name__ == "__main__":
    main()
