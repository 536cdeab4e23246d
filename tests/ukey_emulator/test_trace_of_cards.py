"""What the trace shows of cards: which command, how it was answered, no PIN and no data."""

import json
from pathlib import Path

from ukey_emulator.card.card import Card
from ukey_emulator.rack.rack import Rack

PIN = b"24681357"


def test_commands_are_seen_and_pins_are_not(tmp_path: Path) -> None:
    with Rack(tmp_path, lasting=False) as rack:
        rack.keys.new(pin=PIN.decode(), so_pin="12345678")
        (plugged,) = [slot.chip for slot in rack._slots if slot.chip is not None]
        card: Card = rack._card(plugged)
        card.power_on()
        card.transmit(bytes.fromhex("00A4040005A000000308"))
        card.transmit(bytes.fromhex("00CB3FFF055C035FC10200"))
        card.transmit(b"\x00\x20\x00\x80\x08" + PIN)
        card.transmit(b"\x00\x20\x00\x80\x0899999999")
        card.transmit(bytes.fromhex("00EE0000"))
        seen = rack.trace.since(0)
    assert [(one["function"], one["rv"]) for one in seen] == [
        ("SELECT", "SW_9000"),
        ("GET DATA", "SW_9000"),
        ("VERIFY", "SW_9000"),
        ("VERIFY", "SW_63C9"),
        ("APDU 00EE0000", "SW_6D00"),
    ]
    assert seen[1]["arguments"]["told"] == "5C035FC102"
    assert seen[2]["arguments"] == {
        "header": "00200080",
        "told": "",
        "sent": "8 bytes",
        "received": "0 bytes",
    }
    text = json.dumps(seen)
    assert PIN.hex() not in text.lower()
    assert PIN.decode() not in text
