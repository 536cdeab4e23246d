"""The card management key 9B: who proves that he has it may manage (SP 800-73-5 Part 2 §3.2.4)."""

import hmac
import secrets
from enum import IntEnum

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

from ukey_emulator.card import tlv
from ukey_emulator.card.apdu import Command
from ukey_emulator.card.status import SW, CardRefusal

from .held import MANAGEMENT
from .piv import Piv
from .state import Volatile

TEMPLATE = 0x7C


class Part(IntEnum):
    """What stands in the dynamic authentication template (SP 800-73-5 Part 2, table 7)."""

    WITNESS = 0x80
    CHALLENGE = 0x81
    RESPONSE = 0x82
    EXPONENTIATION = 0x85


TRIPLE_DES = 0x03
KEY_LENGTHS = {TRIPLE_DES: 24, 0x08: 16, 0x0A: 24, 0x0C: 32}
"""Algorithms of the management key, and how long a key is (SP 800-78-5 §6.2)."""

_NO_TOUCH, _TOUCH = 0xFFFF, 0xFFFE


class _Key:
    """The management key, ready for work."""

    def __init__(self, algorithm: int, value: bytes) -> None:
        triple = algorithm == TRIPLE_DES
        cipher = TripleDES(value) if triple else AES(value)
        self.block = 8 if triple else 16
        # One block: the mode chains nothing.
        self._cipher = Cipher(cipher, ECB())  # noqa: S305

    def encrypt(self, block: bytes) -> bytes:
        """Encrypt one block; 6A80 for what is none."""
        if len(block) != self.block:
            raise CardRefusal(SW.INCORRECT_DATA, f"a block has {self.block} bytes")
        return self._cipher.encryptor().update(block)


def authenticate(piv: Piv, command: Command) -> bytes:
    """Carry out one step with 9B; what a step begins only the very next one can end.

    6A86 for an algorithm that is not the key's, 6A80 for a template that is no step or blocks of
    another length, 6982 for a proof that is wrong or was not asked for: nobody may manage then.
    """
    state = piv.state
    challenge, witness = state.challenge, state.witness
    state.challenge = state.witness = None
    # 00 is an old name of 3TDEA.
    if (command.p1 or TRIPLE_DES) != piv.management.algorithm:
        raise CardRefusal(SW.INCORRECT_P1_P2, f"9B is no key of algorithm {command.p1:02X}")
    key = _Key(piv.management.algorithm, piv.management.key)
    # Whoever asks for an answer may leave an empty place for it, and most do not.
    silent: tuple[dict[int, bytes], ...] = ({}, {Part.RESPONSE: b""})
    match tlv.members(tlv.only(TEMPLATE, command.data)):
        case {Part.CHALLENGE: b"", **rest} if not rest:
            state.challenge = secrets.token_bytes(key.block)
            return _answer(Part.CHALLENGE, state.challenge)
        case {Part.RESPONSE: bytes(proof), **rest} if proof and not rest:
            _authenticate(state, challenge and key.encrypt(challenge), proof)
            return b""
        case {Part.WITNESS: b"", **rest} if rest in silent:
            state.witness = secrets.token_bytes(key.block)
            return _answer(Part.WITNESS, key.encrypt(state.witness))
        case {Part.WITNESS: bytes(proof), Part.CHALLENGE: bytes(asked), **rest} if rest in silent:
            answer = key.encrypt(asked)
            _authenticate(state, witness, proof)
            return _answer(Part.RESPONSE, answer)
        case {Part.CHALLENGE: bytes(asked), Part.RESPONSE: b"", **rest} if not rest:
            # Whoever could have anything encrypted would have challenges encrypted.
            require(state)
            return _answer(Part.RESPONSE, key.encrypt(asked))
    raise CardRefusal(SW.INCORRECT_DATA, "no step of an authentication")


def _authenticate(state: Volatile, expected: bytes | None, proof: bytes) -> None:
    state.managed = expected is not None and hmac.compare_digest(expected, proof)
    if not state.managed:
        raise CardRefusal(SW.SECURITY_STATUS_NOT_SATISFIED, "9B is not proven")


def _answer(tag: int, value: bytes) -> bytes:
    return tlv.pack(TEMPLATE, tlv.pack(tag, value))


def require(state: Volatile) -> None:
    """Refuse with 6982 unless somebody has authenticated with 9B."""
    if not state.managed:
        raise CardRefusal(SW.SECURITY_STATUS_NOT_SATISFIED, "not authenticated with 9B")


def set_management_key(piv: Piv, command: Command) -> bytes:
    """Replace 9B (Yubico's FF): the data is algorithm, 9B, length and key; P2 FE wants a touch.

    6982 without 9B, 6A86 for other parameters, 6A80 for a key that no algorithm has.
    """
    require(piv.state)
    if command.p1p2 not in (_NO_TOUCH, _TOUCH):
        raise CardRefusal(SW.INCORRECT_P1_P2, "FFFF, or FFFE for a touch")
    algorithm, key = command.data[:1], tlv.members(command.data[1:])
    if not algorithm or key.keys() != {MANAGEMENT}:
        raise CardRefusal(SW.INCORRECT_DATA, "an algorithm and a key")
    if KEY_LENGTHS.get(algorithm[0]) != len(key[MANAGEMENT]):
        raise CardRefusal(SW.INCORRECT_DATA, f"no key of algorithm {algorithm.hex()}")
    piv.management.set(algorithm[0], key[MANAGEMENT], touch=command.p1p2 == _TOUCH)
    return b""
