"""What cases do to a PIV card before they measure: PINs, the management key, objects."""

import os

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import BlockCipherAlgorithm, Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

from ukey_harness.cases.card.stand import CardStand
from ukey_harness.cases.case import NotApplicable, Unprepared
from ukey_harness.pcsc import Answer, Connection
from ukey_harness.pcsc.apdu import command
from ukey_harness.pcsc.tlv import tlv, value

AID = bytes.fromhex("A000000308000010000100")
PIN, PUK, MANAGEMENT = 0x80, 0x81, 0x9B
CHUID, CCC, DISCOVERY = 0x5FC102, 0x5FC107, 0x7E
PRINTED, SECURITY, SM_CERTIFICATE = 0x5FC109, 0x5FC106, 0x5FC122
VERIFY, CHANGE, UNBLOCK = 0x20, 0x24, 0x2C
GET_DATA, PUT_DATA, AUTHENTICATE, GENERATE = 0xCB, 0xDB, 0x87, 0x47
METADATA = 0xF7
TRIPLE_DES = 0x03
TRIES_WANTED = 2  # of a PIN, before one of them is spent
MOST_TRIES = 15  # more than a status word can tell
PIN_LENGTH = 8

_OF_KEY_LENGTH = {16: 0x08, 24: TRIPLE_DES, 32: 0x0C}
_AES = {0x08, 0x0A, 0x0C}


def padded(pin: str | bytes) -> bytes:
    """Return a PIN as VERIFY takes it: 8 bytes, filled up with FF."""
    raw = pin.encode() if isinstance(pin, str) else pin
    return raw.ljust(PIN_LENGTH, b"\xff")


def owners_pin(stand: CardStand) -> str:
    """Return the PIN; NotApplicable when its owner has not handed it over."""
    if not stand.subject.pin:
        raise NotApplicable("The card's PIN has not been handed over, and none is guessed.")
    return stand.subject.pin


def owners_puk(stand: CardStand) -> str:
    """Return the PUK; NotApplicable when its owner has not handed it over."""
    if not stand.subject.so_pin:
        raise NotApplicable("The card's PUK has not been handed over, and none is guessed.")
    return stand.subject.so_pin


def another(pin: str) -> str:
    """Return a well-formed PIN of the same length that is not this one."""
    return "".join(str((int(each) + 3) % 10) if each.isdigit() else "3" for each in pin)


# PINs


def _see_tries(stand: CardStand, reference: int, secret: bytes) -> None:
    """See that a card that is dear has two tries left, before one is spent; NotApplicable.

    A secret that the card has taken in this case is right: it costs none.
    """
    if stand.subject.renewable or secret in stand.proven.get(reference, ()):
        return
    if reference == PIN:
        told = status(stand)
        # While the PIN is given nothing tells its tries: they are all there.
        left = stand.least if told.ok else told.tries
        stand.least = left
    else:
        counts = value(stand.ask(METADATA, 0x00, reference).data, 0x06)
        left = counts[-1] if counts else None
    if left is None or left < TRIES_WANTED:
        name = "PIN" if reference == PIN else "PUK"
        known = f"has {left}" if left is not None else "does not tell how many"
        raise NotApplicable(f"The card {known} tries of the {name}; two are wanted to spend one.")


def _prove(stand: CardStand, reference: int, answer: Answer, secret: bytes) -> Answer:
    if answer.ok:
        stand.proven.setdefault(reference, set()).add(secret)
    return answer


def verify(
    stand: CardStand, pin: str | bytes | None = None, card: Connection | None = None
) -> Answer:
    """VERIFY the PIN (§3.2.1); the owner's if none is named."""
    given = padded(owners_pin(stand) if pin is None else pin)
    _see_tries(stand, PIN, given)
    return _prove(stand, PIN, stand.send(command(VERIFY, 0x00, PIN, given), card), given)


def prove(stand: CardStand) -> None:
    """See, before a case spends tries of a card that is dear, that the PIN at hand is right.

    Its tries are all there then, and it can be given again.
    """
    if not verify(stand).ok:
        raise NotApplicable("The PIN that was handed over is not the card's.")
    stand.renew()


def logged_in(stand: CardStand, card: Connection | None = None) -> None:
    """VERIFY the owner's PIN, which must succeed."""
    answer = verify(stand, card=card)
    if not answer.ok:
        raise Unprepared(f"VERIFY of the right PIN gave {answer.word}")


def status(stand: CardStand, reference: int = PIN, card: Connection | None = None) -> Answer:
    """VERIFY without data: whether the PIN was given, or how many tries are left."""
    return stand.send(command(VERIFY, 0x00, reference), card)


def tries(stand: CardStand) -> int:
    """Return the tries that the PIN has left; the PIN must not be verified now."""
    left = status(stand).tries
    if left is None:
        raise Unprepared("VERIFY without data does not tell how many tries are left")
    return left


def wrong(stand: CardStand) -> Answer:
    """VERIFY a well-formed PIN that is wrong."""
    return verify(stand, another(owners_pin(stand)))


def block_pin(stand: CardStand) -> list[Answer]:
    """Give wrong PINs until the card says that it is blocked; only for cards made anew."""
    answers = []
    for _ in range(MOST_TRIES + 1):
        answers.append(wrong(stand))
        if answers[-1].tries in {0, None}:
            break
    return answers


def change(stand: CardStand, reference: int, old: str, new: str | bytes) -> Answer:
    """CHANGE REFERENCE DATA (§3.2.2)."""
    _see_tries(stand, reference, padded(old))
    answer = stand.send(command(CHANGE, 0x00, reference, padded(old) + padded(new)))
    if answer.ok:
        stand.proven[reference] = set()
    return _prove(stand, reference, answer, padded(new))


def unblock(stand: CardStand, puk: str, pin: str) -> Answer:
    """RESET RETRY COUNTER with the PUK (§3.2.3)."""
    _see_tries(stand, PUK, padded(puk))
    answer = stand.send(command(UNBLOCK, 0x00, PIN, padded(puk) + padded(pin)))
    if answer.ok:
        stand.proven[PIN] = {padded(pin)}
    return _prove(stand, PUK, answer, padded(puk))


# The management key


def management_algorithm(stand: CardStand) -> int:
    """Return the number of the management key's algorithm: told by the card, or by its length."""
    told = value(stand.ask(METADATA, 0x00, MANAGEMENT).data, 0x01)
    if told:
        return told[0]
    return _OF_KEY_LENGTH[len(management_key(stand))]


def management_key(stand: CardStand) -> bytes:
    """Return the management key; NotApplicable when its owner has not handed it over."""
    if not stand.subject.management:
        raise NotApplicable("The card's management key has not been handed over.")
    return bytes.fromhex(stand.subject.management)


def cipher(stand: CardStand, algorithm: int) -> Cipher[ECB]:
    """Return the management key as a block cipher (SP 800-78-5 §5)."""
    key = management_key(stand)
    block: BlockCipherAlgorithm = AES(key) if algorithm in _AES else TripleDES(key)
    return Cipher(block, ECB())  # noqa: S305 - one block, as the standard has it


def block_length(algorithm: int) -> int:
    """Return the length of the management key's blocks."""
    return 16 if algorithm in _AES else 8


def witness(stand: CardStand, algorithm: int) -> bytes:
    """Ask for a witness of mutual authentication, and decrypt it (§3.2.4)."""
    request = tlv(0x7C, tlv(0x80, b""))
    sealed = value(stand.must(AUTHENTICATE, algorithm, MANAGEMENT, request), 0x7C, 0x80)
    if sealed is None or len(sealed) != block_length(algorithm):
        raise Unprepared("the card gives no witness of mutual authentication")
    opening = cipher(stand, algorithm).decryptor()
    return opening.update(sealed) + opening.finalize()


def respond(stand: CardStand, algorithm: int, response: bytes, challenge: bytes) -> Answer:
    """Give back a decrypted witness, with a challenge of our own."""
    given = tlv(0x7C, tlv(0x80, response) + tlv(0x81, challenge))
    return stand.ask(AUTHENTICATE, algorithm, MANAGEMENT, given)


def proves(stand: CardStand, algorithm: int, answer: Answer, challenge: bytes) -> bool:
    """Tell whether the card has shown that it holds the management key."""
    sealing = cipher(stand, algorithm).encryptor()
    wanted = sealing.update(challenge) + sealing.finalize()
    return value(answer.data, 0x7C, 0x82) == wanted


def manage(stand: CardStand) -> None:
    """Authenticate as the card's administrator, which must succeed."""
    algorithm = management_algorithm(stand)
    challenge = os.urandom(block_length(algorithm))
    answer = respond(stand, algorithm, witness(stand, algorithm), challenge)
    if not answer.ok:
        raise Unprepared(f"authentication with the management key gave {answer.word}")


# Data objects


def tag_list(tag: int) -> bytes:
    """Return the tag of a data object as GET DATA and PUT DATA take it."""
    return tlv(0x5C, tag.to_bytes((tag.bit_length() + 7) // 8, "big"))


def get_data(stand: CardStand, tag: int) -> Answer:
    """GET DATA (§3.1.2): all of the object."""
    return stand.ask(GET_DATA, 0x3F, 0xFF, tag_list(tag))


def content(stand: CardStand, tag: int) -> bytes | None:
    """Return what an object holds; None where it is absent or empty."""
    answer = get_data(stand, tag)
    return value(answer.data, 0x53) or None if answer.ok else None


def may_write(stand: CardStand) -> None:
    """NotApplicable when the card's owner does not consent to what the case would change."""
    if not stand.subject.erasable:
        raise NotApplicable("The case writes to the card, and the device file does not consent.")


def keep(stand: CardStand, tag: int) -> None:
    """Remember an object of a card that is dear, so that it is put back after the case."""
    if not stand.subject.renewable and tag not in stand.kept:
        stand.kept[tag] = content(stand, tag)


def put_data(stand: CardStand, tag: int, new: bytes) -> Answer:
    """PUT DATA (§3.3.1), chained; the management key must have been given."""
    may_write(stand)
    keep(stand, tag)
    return stand.ask(PUT_DATA, 0x3F, 0xFF, put_request(tag, new), le=None)


def put_request(tag: int, new: bytes) -> bytes:
    """Return the data of PUT DATA."""
    return tag_list(tag) + tlv(0x53, new)


def placed(stand: CardStand, tag: int, new: bytes) -> bytes:
    """Put an object there, which must succeed; the card is managed from then on."""
    may_write(stand)
    manage(stand)
    answer = put_data(stand, tag, new)
    if not answer.ok:
        raise Unprepared(f"PUT DATA gave {answer.word}")
    return new


def restore(stand: CardStand) -> None:
    """Leave a card that is dear as it was: the PIN's tries full, the objects as they were."""
    stand.leave()
    if padded(stand.subject.pin) in stand.proven.get(PIN, ()):
        verify(stand)
    if stand.kept:
        manage(stand)
        for tag, old in stand.kept.items():
            put_data(stand, tag, old or b"")
    stand.cut_power()
    stand.leave()
