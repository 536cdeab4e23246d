"""A PIV card made of software, for tests: the line that a reader would give, with what lies on it.

`plain` cards know NIST SP 800-73-4 and nothing else; the others speak Yubico's commands as well.
"""

import contextlib
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import AES

from ukey_client.errors import TokenRemoved
from ukey_client.token.piv import tlv

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
_HASHES = {32: hashes.SHA256(), 48: hashes.SHA384()}


class _SW(Exception):  # noqa: N818 - an answer
    def __init__(self, status: int) -> None:
        self.status = status


@dataclass
class SoftwareCard:
    pin: bytes = b"123456"
    plain: bool = False
    version: bytes = bytes([5, 7, 4])
    limit: int = 3
    tries: int = 3
    management: tuple[int, bytes] = (0x0A, bytes.fromhex("0102030405060708") * 3)
    objects: dict[int, bytes] = field(default_factory=dict)
    keys: dict[int, PrivateKey] = field(default_factory=dict)
    always: set[int] = field(default_factory=lambda: {0x9C})
    guarded: frozenset[int] = frozenset({0x5FC103, 0x5FC108, 0x5FC109, 0x5FC121, 0x5FC123})
    refused_objects: frozenset[int] = frozenset()
    next_keys: list[PrivateKey] = field(default_factory=list)
    removed: bool = False
    selected: bool = True
    verified: bool = False
    fresh: bool = False
    managed: bool = False
    witness: bytes = b""
    reader: str = "Software Reader 00 00"
    generation: int = 0
    depth: int = 0
    commands: list[bytes] = field(default_factory=list)
    break_at: int | None = None  # the command at which somebody pulls it out
    lose_answer: bool = False  # just after the card has done it
    closed: bool = False
    _chain: bytes = b""
    _rest: bytes = b""

    # --- the line ---------------------------------------------------------------------------

    def transmit(self, command: bytes) -> bytes:
        assert self.depth, "a command outside of a transaction"
        assert len(command) < 5 or len(command) <= 5 + 255 + 1
        self.commands.append(command)
        breaks = len(self.commands) == self.break_at
        self.removed |= breaks
        if self.removed and not (breaks and self.lose_answer):
            raise TokenRemoved
        answer = self._answer(command)
        if self.removed:
            raise TokenRemoved
        return answer

    def _answer(self, command: bytes) -> bytes:
        cla, ins, p1, p2 = command[:4]
        data = command[5 : 5 + command[4]] if len(command) > 5 else b""
        if ins == 0xC0:
            return self._piece(self._rest)
        if cla == 0x10:
            self._chain += data
            return b"\x90\x00"
        data, self._chain = self._chain + data, b""
        if not self.selected and ins != 0xA4:
            return b"\x6d\x00"
        try:
            return self._piece(self._do(ins, p1, p2, data))
        except _SW as answer:
            return answer.status.to_bytes(2, "big")

    def _piece(self, answer: bytes) -> bytes:
        piece, self._rest = answer[:256], answer[256:]
        left = len(self._rest)
        return piece + (bytes([0x61, min(left, 255)]) if left else b"\x90\x00")

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        if self.removed:
            raise TokenRemoved
        self.depth += 1
        try:
            yield
        finally:
            self.depth -= 1

    def reset(self) -> None:
        self.forget()
        self.generation += 1

    def close(self) -> None:
        self.closed = True

    # --- what others do to it ---------------------------------------------------------------

    def forget(self) -> None:
        """As after a reset: the application is the default one, nothing is verified."""
        self.verified = self.fresh = self.managed = False
        self.selected = True

    def mend(self) -> None:
        """Plug it in again."""
        self.removed, self.break_at = False, None
        self.forget()

    def reset_by_others(self) -> None:
        self.reset()

    def select_another(self) -> None:
        self.forget()
        self.selected = False

    # --- commands ---------------------------------------------------------------------------

    def _do(self, ins: int, p1: int, p2: int, data: bytes) -> bytes:  # noqa: PLR0911 - one for each command
        if ins == 0xA4:
            self.selected = True
            return bytes.fromhex("61114F0600001000010079074F05A000000308")
        if ins == 0x20:
            return self._verify(p1, data)
        if ins == 0x24:
            self._compare(data[:8])
            if len(data[8:].rstrip(b"\xff")) < 6:
                raise _SW(0x6A80)
            self.pin = data[8:].rstrip(b"\xff")
            return b""
        if ins == 0xCB:
            return self._get(int.from_bytes(tlv.unwrap(data, 0x5C), "big"))
        if ins == 0xDB:
            return self._put(data)
        if ins == 0x47:
            return self._generate(p2, tlv.unwrap(tlv.unwrap(data, 0xAC), 0x80)[0])
        if ins == 0x87:
            return self._authenticate(p1, p2, dict(tlv.parse(tlv.unwrap(data, 0x7C))))
        if not self.plain:
            return self._yubico(ins, p1, p2)
        raise _SW(0x6D00)

    def _verify(self, p1: int, data: bytes) -> bytes:
        if p1 == 0xFF:
            if self.plain:
                raise _SW(0x6A86)
            self.verified = False
            return b""
        if not data:
            if not self.verified:
                raise _SW(0x63C0 | self.tries if self.tries else 0x6983)
            return b""
        self._compare(data)
        self.verified = self.fresh = True
        return b""

    def _compare(self, pin: bytes) -> None:
        if not self.tries:
            raise _SW(0x6983)
        if pin.rstrip(b"\xff") != self.pin:
            self.tries -= 1
            self.verified = False
            raise _SW(0x63C0 | self.tries)
        self.tries = self.limit

    def _get(self, tag: int) -> bytes:
        if tag in self.guarded and not self.verified:
            raise _SW(0x6982)
        if tag not in self.objects:
            raise _SW(0x6A82)
        return tlv.encode(0x53, self.objects[tag])

    def _put(self, data: bytes) -> bytes:
        if not self.managed:
            raise _SW(0x6982)
        parts = dict(tlv.parse(data))
        tag = int.from_bytes(parts[0x5C], "big")
        if tag in self.refused_objects:
            raise _SW(0x6A81)
        self.objects[tag] = parts[0x53]
        if not parts[0x53]:
            del self.objects[tag]
        return b""

    def _generate(self, reference: int, algorithm: int) -> bytes:
        if not self.managed:
            raise _SW(0x6982)
        key: PrivateKey
        if self.next_keys:
            key = self.next_keys.pop(0)
        elif algorithm in {0x11, 0x14}:
            key = ec.generate_private_key(ec.SECP256R1() if algorithm == 0x11 else ec.SECP384R1())
        else:
            key = rsa.generate_private_key(65537, {0x07: 2048, 0x05: 3072, 0x06: 1024}[algorithm])
        self.keys[reference] = key
        return tlv.encode(0x7F49, _public(key))

    def _authenticate(self, algorithm: int, reference: int, parts: dict[int, bytes]) -> bytes:
        if reference == 0x9B:
            return self._prove(algorithm, parts)
        if reference not in self.keys:
            raise _SW(0x6A80)
        if not self.verified or (reference in self.always and not self.fresh):
            raise _SW(0x6982)
        self.fresh = False
        key = self.keys[reference]
        if algorithm != _algorithm(key):
            raise _SW(0x6A80)
        block = parts[0x81]
        if isinstance(key, rsa.RSAPrivateKey):
            numbers = key.private_numbers()
            size = key.key_size // 8
            if len(block) != size:
                raise _SW(0x6A80)
            raw = pow(int.from_bytes(block, "big"), numbers.d, numbers.public_numbers.n)
            signature = raw.to_bytes(size, "big")
        else:
            signature = key.sign(block, ec.ECDSA(Prehashed(_HASHES[len(block)])))
        return tlv.encode(0x7C, tlv.encode(0x82, signature))

    def _prove(self, algorithm: int, parts: dict[int, bytes]) -> bytes:
        known, secret = self.management
        if algorithm != known:
            raise _SW(0x6A80)
        cipher = Cipher(TripleDES(secret) if known == 0x03 else AES(secret), modes.ECB())  # noqa: S305
        if 0x81 not in parts:
            self.witness = secrets.token_bytes(8 if known == 0x03 else 16)
            sealed = cipher.encryptor().update(self.witness)
            return tlv.encode(0x7C, tlv.encode(0x80, sealed))
        if parts[0x80] != self.witness:
            raise _SW(0x6982)
        self.managed = True
        return tlv.encode(0x7C, tlv.encode(0x82, cipher.encryptor().update(parts[0x81])))

    def _yubico(self, ins: int, p1: int, p2: int) -> bytes:
        if ins == 0xFD:
            return self.version
        if ins == 0xF8:
            return (1234567).to_bytes(4, "big")
        if ins == 0xF7 and p2 == 0x80:
            return tlv.encode(0x06, bytes([self.limit, self.tries]))
        if ins == 0xF7 and p2 == 0x9B:
            return tlv.encode(0x01, bytes([self.management[0]]))
        if ins == 0xF7 and p2 in self.keys:
            key = self.keys[p2]
            return tlv.encode(0x01, bytes([_algorithm(key)])) + tlv.encode(0x04, _public(key))
        if ins == 0xF6 and tuple(self.version) >= (5, 7):
            if not self.managed:
                raise _SW(0x6982)
            if p2 not in self.keys:
                raise _SW(0x6A88)
            key = self.keys.pop(p2)
            if p1 != 0xFF:
                self.keys[p1] = key
            return b""
        raise _SW(0x6A88 if ins == 0xF7 else 0x6D00)


def _public(key: PrivateKey) -> bytes:
    public = key.public_key().public_numbers()
    if isinstance(public, ec.EllipticCurvePublicNumbers):
        size = (public.curve.key_size + 7) // 8
        point = b"\x04" + public.x.to_bytes(size, "big") + public.y.to_bytes(size, "big")
        return tlv.encode(0x86, point)
    modulus = public.n.to_bytes((public.n.bit_length() + 7) // 8, "big")
    return tlv.encode(0x81, modulus) + tlv.encode(0x82, public.e.to_bytes(3, "big"))


def _algorithm(key: PrivateKey) -> int:
    if isinstance(key, rsa.RSAPrivateKey):
        return {1024: 0x06, 2048: 0x07, 3072: 0x05}[key.key_size]
    return {"secp256r1": 0x11, "secp384r1": 0x14}[key.curve.name]
