"""The commands of the PIV card application (NIST SP 800-73-4 Part 2), and Yubico's beside them."""

import secrets
from contextlib import AbstractContextManager
from dataclasses import dataclass
from hmac import compare_digest
from typing import Final

from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

from ukey_client.token.piv import ciphers, keys, tlv
from ukey_client.token.piv.line import Line
from ukey_client.token.piv.slots import MANAGEMENT, PIN

AID: Final = bytes.fromhex("A000000308000010000100")
OK: Final = 0x9000
SECURITY_STATUS: Final = 0x6982
BLOCKED: Final = 0x6983
WRONG_DATA: Final = 0x6A80
NOT_FOUND: Final = 0x6A82
NO_MEMORY: Final = 0x6A84

_CHAINED: Final = 0x10  # CLA of all blocks but the last, ISO/IEC 7816-4 §5.1.1.1
_BLOCK: Final = 255
_MORE_DATA, _OTHER_LENGTH = 0x61, 0x6C  # SW1
_TRIES: Final = 0x63C0
# What cards answer about an object that they do not have, or do not know.
_ABSENT: Final = frozenset({NOT_FOUND, 0x6A88, 0x6A86, 0x6A81, WRONG_DATA})
# What an application answers that knows the PIN 80: verified, tries left, blocked, not usable.
_OF_THE_PIN: Final = frozenset({OK, BLOCKED, 0x6984, 0x6985})
_PIN_BYTES: Final = 8


class Refused(Exception):  # noqa: N818 - an answer of the card, not a fault of the program
    """The card answered with another status word than 9000."""

    def __init__(self, status: int) -> None:
        super().__init__(f"SW {status:04X}")
        self.status = status

    @property
    def tries_left(self) -> int | None:
        """Tries that are left after a wrong PIN (63Cx), None if this says something else."""
        return self.status & 0xF if self.status & 0xFFF0 == _TRIES else None


@dataclass(frozen=True)
class PinStatus:
    """What the card tells of the PIN: tries_left is None while it does not tell."""

    verified: bool
    tries_left: int | None
    blocked: bool


class PivCard:
    """The PIV application of one card. Every method may raise Refused or TokenRemoved."""

    def __init__(self, line: Line) -> None:
        self._line = line

    def transaction(self) -> AbstractContextManager[None]:
        """Keep other programs away."""
        return self._line.transaction()

    # --- the application --------------------------------------------------------------------

    def select(self) -> None:
        """Select the application (§3.1.1)."""
        self._send(0xA4, 0x04, 0x00, AID)

    def settle(self) -> PinStatus:
        """See to it that the application is selected, and tell of the PIN.

        Another program may have selected another one, or reset the card. An empty VERIFY asks
        without selecting anew, by which some cards forget who has logged in.
        """
        status = self._pin_answer()
        if status not in _OF_THE_PIN and status & 0xFFF0 != _TRIES:
            self.select()
            status = self._pin_answer()
        blocked = status in {BLOCKED, _TRIES}
        tries = 0 if blocked else Refused(status).tries_left
        return PinStatus(status == OK, tries, blocked)

    def _pin_answer(self) -> int:
        try:
            self._send(0x20, 0x00, PIN, answers=False)
        except Refused as refused:
            return refused.status
        return OK

    def version(self) -> tuple[int, ...] | None:
        """Give the version of the firmware (Yubico's GET VERSION), None where it is not told."""
        try:
            return tuple(self._send(0xFD, 0, 0))
        except Refused:
            return None

    def serial(self) -> int | None:
        """Give the serial number (Yubico's GET SERIAL), None where it is not told."""
        try:
            return int.from_bytes(self._send(0xF8, 0, 0), "big")
        except Refused:
            return None

    def metadata(self, reference: int) -> dict[int, bytes] | None:
        """Tell what lies under a reference (Yubico's GET METADATA); None if nothing is told."""
        try:
            return dict(tlv.parse(self._send(0xF7, 0, reference)))
        except (Refused, tlv.TlvError):
            return None

    # --- data objects -----------------------------------------------------------------------

    def get_data(self, tag: int) -> bytes | None:
        """Read a data object (§3.1.2), without its template 53; None if it is absent or empty."""
        try:
            answer = self._send(0xCB, 0x3F, 0xFF, tlv.encode(0x5C, tag.to_bytes(3, "big")))
            return tlv.unwrap(answer, 0x53) or None
        except Refused as refused:
            if refused.status in _ABSENT:
                return None
            raise
        except tlv.TlvError:
            return None

    def put_data(self, tag: int, content: bytes) -> None:
        """Write a data object (§3.3.1), or empty it; the management key must be proven."""
        named = tlv.encode(0x5C, tag.to_bytes(3, "big"))
        self._send(0xDB, 0x3F, 0xFF, named + tlv.encode(0x53, content), answers=False)

    # --- the PIN ----------------------------------------------------------------------------

    def verify(self, pin: bytes) -> None:
        """Present the PIN (§3.2.1)."""
        self._send(0x20, 0x00, PIN, padded(pin), answers=False)

    def forget_pin(self) -> None:
        """End the login (§3.2.1, P1 FF)."""
        self._send(0x20, 0xFF, PIN, answers=False)

    def change_pin(self, old: bytes, new: bytes) -> None:
        """Exchange the PIN (§3.2.2)."""
        self._send(0x24, 0x00, PIN, padded(old) + padded(new), answers=False)

    # --- keys -------------------------------------------------------------------------------

    def sign(self, algorithm: int, reference: int, block: bytes) -> bytes:
        """Have a private key work on a block (§3.2.4, internal authentication)."""
        request = tlv.encode(0x82) + tlv.encode(0x81, block)
        return self._authenticate(algorithm, reference, request, 0x82)

    def generate(self, reference: int, algorithm: int) -> CertificatePublicKeyTypes:
        """Make a key pair in the place of what was there (§3.3.2); its public half."""
        template = tlv.encode(0xAC, tlv.encode(0x80, bytes([algorithm])))
        answer = self._send(0x47, 0x00, reference, template)
        return keys.public_key(algorithm, tlv.unwrap(answer, 0x7F49))

    def move(self, source: int, target: int) -> None:
        """Move a private key to another reference (Yubico's MOVE KEY, version 5.7)."""
        self._send(0xF6, target, source, answers=False)

    def delete(self, reference: int) -> None:
        """Delete a private key (the same, to nowhere)."""
        self._send(0xF6, 0xFF, reference, answers=False)

    def prove_management(self, algorithm: int, key: bytes) -> bool:
        """Authenticate with the management key, and the card with it (§3.2.4, mutual).

        False if the card does not hold this key.
        """
        cipher = ciphers.block_cipher(algorithm, key)
        if cipher is None:
            return False
        try:
            sealed = self._authenticate(algorithm, MANAGEMENT, tlv.encode(0x80), 0x80)
            if len(sealed) != cipher.block:
                return False
            challenge = secrets.token_bytes(cipher.block)
            request = tlv.encode(0x80, cipher.decrypt(sealed)) + tlv.encode(0x81, challenge)
            proof = self._authenticate(algorithm, MANAGEMENT, request, 0x82)
        except (Refused, tlv.TlvError):
            return False
        return compare_digest(proof, cipher.encrypt(challenge))

    def _authenticate(self, algorithm: int, reference: int, request: bytes, wanted: int) -> bytes:
        answer = self._send(0x87, algorithm, reference, tlv.encode(0x7C, request))
        return tlv.unwrap(tlv.unwrap(answer, 0x7C), wanted)

    # --- APDUs ------------------------------------------------------------------------------

    def _send(
        self, instruction: int, p1: int, p2: int, data: bytes = b"", *, answers: bool = True
    ) -> bytes:
        """Send a command of any length in short APDUs, and fetch all of its answer.

        Commands are chained and answers fetched with GET RESPONSE (ISO/IEC 7816-4 §5.1.1.1,
        §7.6.1), which every PIV card knows (SP 800-73-4 Part 2 §2.4.2).
        """
        with self._line.transaction():
            head = bytes([instruction, p1, p2])
            while len(data) > _BLOCK:
                block, data = data[:_BLOCK], data[_BLOCK:]
                answer = self._line.transmit(bytes([_CHAINED]) + head + bytes([_BLOCK]) + block)
                if answer[-2:] != b"\x90\x00":
                    raise Refused(int.from_bytes(answer[-2:], "big"))
            command = b"\x00" + head + (bytes([len(data)]) + data if data else b"")
            return self._all_of(command, answers=answers)

    def _all_of(self, command: bytes, *, answers: bool) -> bytes:
        answer = self._line.transmit(command + b"\x00" if answers else command)
        whole = b""
        while True:
            whole += answer[:-2]
            high, low = answer[-2:]
            if high == _MORE_DATA:
                answer = self._line.transmit(bytes([0x00, 0xC0, 0x00, 0x00, low]))
            elif high == _OTHER_LENGTH and answers and not whole:
                answers = False
                answer = self._line.transmit(command + bytes([low]))
            elif high << 8 | low == OK:
                return whole
            else:
                raise Refused(high << 8 | low)


def padded(pin: bytes) -> bytes:
    """Fill a PIN of one to eight bytes up with FF (SP 800-73-4 Part 2 §2.4.3)."""
    if not 0 < len(pin) <= _PIN_BYTES:
        raise Refused(WRONG_DATA)
    return pin.ljust(_PIN_BYTES, b"\xff")
