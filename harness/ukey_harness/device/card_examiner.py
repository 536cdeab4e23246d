"""Looks at a card in a reader, in a process of its own.

A reader that hangs then costs an answer, not the run; and the resource manager that the
environment names is that of this process alone. `python -m ukey_harness.device.card_examiner` takes
one request as JSON from standard input and writes one answer as JSON.
"""

import json
import sys
from typing import Any

from ukey_harness.device.examiner import DeviceError
from ukey_harness.pcsc import Answer, Connection, Context
from ukey_harness.pcsc.apdu import command
from ukey_harness.pcsc.context import LEAVE, PRESENT, SUCCESS, UNAWARE
from ukey_harness.pcsc.tlv import value

SELECT = bytes.fromhex("00A4040005A00000030800")
GET_CHUID = bytes.fromhex("00CB3FFF055C035FC10200")
GET_SERIAL, GET_VERSION, VERIFY, GET_RESPONSE, PIN = 0xF8, 0xFD, 0x20, 0xC0, 0x80


def main() -> None:
    """Answer one request."""
    request = json.load(sys.stdin)
    try:
        answer = {"examine": examine, "present": present}[request["verb"]](request["reader"])
    except DeviceError as error:
        answer = {"error": str(error)}
    json.dump(answer, sys.stdout, ensure_ascii=False)


def present(wanted: str) -> dict[str, Any]:
    """Tell whether there is a card in the reader; a reader that is gone has none."""
    context = _context()
    try:
        name = _reader(context, wanted)
    except DeviceError:
        return {"present": False}
    _, states = context.status_change([(name, UNAWARE)])
    return {"present": bool(states and states[0].state & PRESENT)}


def examine(wanted: str) -> dict[str, Any]:
    """Return what reader and card tell of themselves; changes nothing."""
    context = _context()
    reader = _reader(context, wanted)
    name, card = context.connect(reader)
    if name != SUCCESS:
        raise DeviceError(f"the card in {reader} cannot be connected to: {name}")
    try:
        if not card.transmit(SELECT).kind.startswith(("9000", "61")):
            raise DeviceError(f"the card in {reader} has no PIV application")
        version = card.transmit(command(GET_VERSION, 0, 0, le=256))
        return {
            "slot": {"reader": reader, "atr": card.status()[1].hex().upper()},
            "token": {
                "serial": next(iter(_serials(card)), ""),
                "serials": _serials(card),
                "version": ".".join(map(str, version.data)) if version.ok else "",
            },
            "tries_left": card.transmit(command(VERIFY, 0, PIN)).tries,
        }
    finally:
        card.disconnect(LEAVE)


def _serials(card: Connection) -> list[str]:
    """Return the numbers by which the card can be named: its own, and the GUID of its CHUID."""
    serial = card.transmit(command(GET_SERIAL, 0, 0, le=256))
    numbers = [str(int.from_bytes(serial.data, "big"))] if serial.ok and serial.data else []
    chuid = _whole(card, card.transmit(GET_CHUID))
    guid = value(chuid, 0x53, 0x34) or b""
    return numbers + ([guid.hex().upper()] if any(guid) else [])


def _whole(card: Connection, answer: Answer) -> bytes:
    content = answer.data
    while answer.kind == "61XX":
        answer = card.transmit(command(GET_RESPONSE, 0, 0, le=answer.sw & 0xFF or 256))
        content += answer.data
    return content


def _context() -> Context:
    context = Context()
    if context.name != SUCCESS:
        raise DeviceError(f"there is no resource manager: SCardEstablishContext: {context.name}")
    return context


def _reader(context: Context, wanted: str) -> str:
    """Return the one reader whose name has that in it."""
    readers = context.readers()
    found = [wanted] if wanted in readers else [each for each in readers if wanted in each]
    if len(found) != 1:
        there = ", ".join(repr(each) for each in readers) or "none"
        raise DeviceError(f"no one reader is named {wanted!r}; there are: {there}")
    return found[0]


if __name__ == "__main__":
    main()
