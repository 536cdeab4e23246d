"""A program that talks to a PIV card in APDUs, as Yubico's and OpenSC's do: in short blocks."""

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

from ukey_emulator.card.card import Card

PIN, PUK = b"123456\xff\xff", b"12345678"
DEFAULT_KEY = bytes.fromhex("010203040506070801020304050607080102030405060708")
AID = bytes.fromhex("A000000308000010000100")

RSA1024, RSA2048, RSA3072, RSA4096 = 0x06, 0x07, 0x05, 0x16
P256, P384, ED25519, X25519 = 0x11, 0x14, 0xE0, 0xE1

PublicKey = (
    rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | x25519.X25519PublicKey
)


def tlv(tag: int, *contents: bytes) -> bytes:
    """Write a data object."""
    value = b"".join(contents)
    size = len(value)
    length = bytes([size]) if size < 0x80 else b"\x82" + size.to_bytes(2)
    return tag.to_bytes((tag.bit_length() + 7) // 8) + length + value


def members(data: bytes) -> dict[int, bytes]:
    """Read data objects that stand one after another."""
    found = {}
    while data:
        size = 2 if data[0] & 0x1F == 0x1F else 1
        tag, length, data = int.from_bytes(data[:size]), data[size], data[size + 1 :]
        if length & 0x80:
            count = length & 0x7F
            length, data = int.from_bytes(data[:count]), data[count:]
        assert len(data) >= length
        found[tag], data = data[:length], data[length:]
    return found


def within(tag: int, data: bytes) -> bytes:
    """Take the one data object that all of `data` is."""
    found = members(data)
    assert list(found) == [tag]
    return found[tag]


class PivProgram:
    """A card that has power, with the PIV application selected."""

    def __init__(self, card: Card) -> None:
        self.card = card
        card.power_on()
        self.ok(0xA4, 0x04, 0x00, AID)

    def send(self, ins: int, p1: int, p2: int, data: bytes = b"") -> tuple[bytes, int]:
        """Send a command in as many blocks as it takes; give the whole answer."""
        blocks = [data[at : at + 255] for at in range(0, len(data), 255)] or [b""]
        for block in blocks[:-1]:
            answer = self.card.transmit(bytes([0x10, ins, p1, p2, len(block)]) + block)
            assert answer == b"\x90\x00"
        last = bytes([len(blocks[-1])]) + blocks[-1] if blocks[-1] else b""
        answer = self.card.transmit(bytes([0x00, ins, p1, p2]) + last + b"\0")
        whole = answer[:-2]
        while answer[-2] == 0x61:
            answer = self.card.transmit(bytes([0x00, 0xC0, 0x00, 0x00, answer[-1]]))
            whole += answer[:-2]
        return whole, int.from_bytes(answer[-2:])

    def ok(self, ins: int, p1: int, p2: int, data: bytes = b"") -> bytes:
        """Send a command that succeeds."""
        answer, sw = self.send(ins, p1, p2, data)
        assert sw == 0x9000, f"{sw:04X}"
        return answer

    def sw(self, ins: int, p1: int, p2: int, data: bytes = b"") -> int:
        """Send a command that is refused, and so gives nothing; give its status word."""
        answer, sw = self.send(ins, p1, p2, data)
        assert sw == 0x9000 or answer == b""
        return sw

    def verify(self) -> None:
        """Give the PIN."""
        self.ok(0x20, 0x00, 0x80, PIN)

    def manage(self, key: bytes = DEFAULT_KEY, algorithm: int = 0x03) -> None:
        """Authenticate with 9B, and have the card do so."""
        witness = within(0x80, within(0x7C, self.step(algorithm, tlv(0x80))))
        challenge = bytes(range(len(witness)))
        cipher = cipher_of(key, algorithm)
        proof = tlv(0x80, cipher.decryptor().update(witness)) + tlv(0x81, challenge)
        answer = within(0x82, within(0x7C, self.step(algorithm, proof)))
        assert answer == cipher.encryptor().update(challenge)

    def step(self, algorithm: int, template: bytes) -> bytes:
        """Take a step of an authentication with 9B that succeeds."""
        return self.ok(0x87, algorithm, 0x9B, tlv(0x7C, template))

    def refused(self, algorithm: int, template: bytes) -> int:
        """Take a step of an authentication with 9B; give its status word."""
        return self.sw(0x87, algorithm, 0x9B, tlv(0x7C, template))

    @property
    def manages(self) -> bool:
        """Whether what wants 9B is carried out: here a PUT DATA."""
        sw = self.sw(0xDB, 0x3F, 0xFF, tlv(0x5C, bytes.fromhex("5FFF11")) + tlv(0x53, b"1"))
        assert sw in {0x9000, 0x6982}
        return sw == 0x9000

    def generate(self, slot: int, algorithm: int, policies: bytes = b"") -> PublicKey:
        """Have a key pair made."""
        wanted = tlv(0xAC, tlv(0x80, bytes([algorithm])), policies)
        return public_key(algorithm, within(0x7F49, self.ok(0x47, 0x00, slot, wanted)))

    def challenge(self, slot: int, algorithm: int, data: bytes) -> tuple[bytes, int]:
        """Have a challenge answered: signed or deciphered."""
        return self._use(slot, algorithm, tlv(0x82) + tlv(0x81, data))

    def exponentiate(self, slot: int, algorithm: int, point: bytes) -> tuple[bytes, int]:
        """Have a secret agreed on."""
        return self._use(slot, algorithm, tlv(0x82) + tlv(0x85, point))

    def _use(self, slot: int, algorithm: int, template: bytes) -> tuple[bytes, int]:
        answer, sw = self.send(0x87, algorithm, slot, tlv(0x7C, template))
        return within(0x82, within(0x7C, answer)) if answer else b"", sw


def cipher_of(key: bytes, algorithm: int) -> Cipher[ECB]:
    """Give the cipher of a management key."""
    return Cipher(TripleDES(key) if algorithm == 0x03 else AES(key), ECB())  # noqa: S305


def public_key(algorithm: int, encoded: bytes) -> PublicKey:
    """Read a public key as the card gives it."""
    found = members(encoded)
    if algorithm in {P256, P384}:
        curve = ec.SECP256R1() if algorithm == P256 else ec.SECP384R1()
        return ec.EllipticCurvePublicKey.from_encoded_point(curve, found[0x86])
    if algorithm == ED25519:
        return ed25519.Ed25519PublicKey.from_public_bytes(found[0x86])
    if algorithm == X25519:
        return x25519.X25519PublicKey.from_public_bytes(found[0x86])
    assert len(found[0x81]) * 8 == {
        RSA1024: 1024,
        RSA2048: 2048,
        RSA3072: 3072,
        RSA4096: 4096,
    }.get(algorithm)
    return rsa.RSAPublicNumbers(
        int.from_bytes(found[0x82]), int.from_bytes(found[0x81])
    ).public_key()


def padded(bits: int, message: bytes) -> bytes:
    """Pad a message as PKCS #1 v1.5 does before it is signed."""
    return b"\0\1" + b"\xff" * (bits // 8 - 3 - len(message)) + b"\0" + message
