"""What PIV's keys do, and for whom (SP 800-73-5 Part 1 §3, Part 2 §3.2.4, §3.3.2): PV."""

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ukey_harness.cases.card.keys import (
    AGREE,
    AUTH,
    CARD,
    RETIRED_20,
    Algorithm,
    PublicKey,
    block,
    generate,
    judged,
    made,
    metadata_key,
    public_key,
    ready,
    sign,
    signs,
    valid,
)
from ukey_harness.cases.card.keys import SIGN as SIGNATURE
from ukey_harness.cases.card.needs import acts
from ukey_harness.cases.card.piv import (
    AUTHENTICATE,
    DISCOVERY,
    get_data,
    logged_in,
    manage,
    may_write,
    verify,
)
from ukey_harness.cases.card.reader import PATIENCE, in_thread
from ukey_harness.cases.card.stand import CardStand
from ukey_harness.cases.case import Changes, NotApplicable, Section
from ukey_harness.pcsc import Answer
from ukey_harness.pcsc.context import SUCCESS, UNPOWER
from ukey_harness.pcsc.tlv import tlv, value

signing = Section("SP 800-73-5", "Keys", sign="")

NO_ALGORITHM = 0x7F
NO_SLOT = 0x77
STANDARD = (Algorithm.RSA_2048, Algorithm.P256, Algorithm.P384)


@signing.case(
    "PV-28",
    "Part 1 §3.1.3",
    "The authentication key does not sign before the PIN was given.",
    "6982, no data",
    changes=Changes.OBJECTS,
)
def _pv_28(stand: CardStand) -> tuple[str, str]:
    algorithm, _ = ready(stand, AUTH)
    answer = sign(stand, AUTH, algorithm, block(algorithm))
    return answer.word, "data" if answer.data else "no data"


@signing.case(
    "PV-29",
    "Part 2 §3.2.4",
    "What the authentication key signs when the PIN was given verifies by its public key, for RSA, "
    "P-256 and P-384.",
    "verifies, verifies, verifies",
    allow=("verifies",),  # by the one key that is there, where none may be made
    changes=Changes.OBJECTS,
    limit=30.0,
)
def _pv_29(stand: CardStand) -> tuple[str, ...]:
    seen = []
    for algorithm in STANDARD if stand.subject.erasable else STANDARD[:1]:
        key = ready(stand, AUTH, algorithm)
        logged_in(stand)
        seen.append(signs(stand, AUTH, key))
    return tuple(seen)


@signing.case(
    "PV-30",
    "Part 1 §3.2.1",
    "The signature key wants the PIN before each of its signatures.",
    "verifies, 6982, verifies",
    changes=Changes.OBJECTS,
)
def _pv_30(stand: CardStand) -> tuple[str, ...]:
    key = ready(stand, SIGNATURE)
    logged_in(stand)
    first, second = signs(stand, SIGNATURE, key), signs(stand, SIGNATURE, key)
    logged_in(stand)
    return first, second, signs(stand, SIGNATURE, key)


@signing.case(
    "PV-31",
    "Part 1 §3.1.4",
    "The card authentication key signs without a PIN.",
    "verifies",
    changes=Changes.OBJECTS,
)
def _pv_31(stand: CardStand) -> str:
    return signs(stand, CARD, ready(stand, CARD))


@signing.case(
    "PV-32",
    "Part 2 §3.2.4",
    "A key is not used by another algorithm than its own, nor one that is not there.",
    "6A80 | 6A86, 6A80 | 6A86",
    allow=("6A80 | 6A86, 6A88",),
    changes=Changes.OBJECTS,
)
def _pv_32(stand: CardStand) -> tuple[str, str]:
    algorithm, _ = ready(stand, AUTH)
    logged_in(stand)
    other = Algorithm.P384 if algorithm is Algorithm.P256 else Algorithm.P256
    mismatched = sign(stand, AUTH, other, block(other)).word
    absent = sign(stand, RETIRED_20, algorithm, block(algorithm)).word
    return mismatched, absent


@signing.case(
    "PV-33",
    "Part 2 §3.2.4",
    "An RSA key takes a block of its own length only.",
    "6A80, 6A80, verifies",
    allow=("6A80 | 6700, 6A80 | 6700, verifies",),
    changes=Changes.OBJECTS,
)
def _pv_33(stand: CardStand) -> tuple[str, ...]:
    algorithm, public = ready(stand, AUTH, Algorithm.RSA_2048)
    if algorithm in {Algorithm.P256, Algorithm.P384}:
        raise NotApplicable("The key in 9A is no RSA key, and none may be made.")
    logged_in(stand)
    right = block(algorithm)
    words = [sign(stand, AUTH, algorithm, each).word for each in (right[:-1], right + b"\x00")]
    return *words, judged(sign(stand, AUTH, algorithm, right), public)


def _agree(stand: CardStand, algorithm: int, point: bytes) -> Answer:
    request = tlv(0x7C, tlv(0x82, b"") + tlv(0x85, point))
    return stand.ask(AUTHENTICATE, algorithm, AGREE, request)


@signing.case(
    "PV-34",
    "Part 2 §3.2.4",
    "The key management key agrees on a secret with a point of its curve; another point and a "
    "part of one are refused.",
    "9000, the secret, 6A80, 6A80",
    changes=Changes.OBJECTS,
)
def _pv_34(stand: CardStand) -> tuple[str, ...]:
    algorithm, public = ready(stand, AGREE)
    if not isinstance(public, ec.EllipticCurvePublicKey):
        raise NotApplicable("The key in 9D is on no curve, and none may be made.")
    logged_in(stand)
    ours = ec.generate_private_key(public.curve)
    point = ours.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    agreed = _agree(stand, algorithm, point)
    secret = value(agreed.data, 0x7C, 0x82)
    beside = point[:-1] + bytes([point[-1] ^ 1])
    return (
        agreed.word,
        "the secret" if secret == ours.exchange(ec.ECDH(), public) else "another",
        _agree(stand, algorithm, beside).word,
        _agree(stand, algorithm, point[:-1]).word,
    )


@signing.case(
    "PV-38",
    "Part 2 §3.3.2",
    "No key is generated where the management key was not given, and the old one stays.",
    "6982, verifies",
    changes=Changes.TOKEN,
)
def _pv_38(stand: CardStand) -> tuple[str, str]:
    key = ready(stand, CARD)
    return generate(stand, CARD, Algorithm.P256).word, signs(stand, CARD, key)


@signing.case(
    "PV-39",
    "Part 2 §3.3.2",
    "A key pair is generated of each algorithm, signs by the public key that is given, and takes "
    "the place of the one before.",
    "verifies, verifies, verifies, replaced",
    changes=Changes.TOKEN,
    limit=30.0,
)
def _pv_39(stand: CardStand) -> tuple[str, ...]:
    seen = []
    for algorithm in STANDARD:
        key = algorithm, made(stand, CARD, algorithm)
        seen.append(signs(stand, CARD, key))
    before = key[1]
    after = made(stand, CARD, algorithm)
    answer = sign(stand, CARD, algorithm, block(algorithm))
    signature = value(answer.data, 0x7C, 0x82) or b""
    replaced = valid(after, signature) and not valid(before, signature)
    return *seen, "replaced" if replaced else "the old one signs"


@signing.case(
    "PV-40",
    "Part 2 §3.3.2",
    "An algorithm that the card does not have, and a slot that it does not have, are refused, and "
    "the old key stays.",
    "6A80, 6A86, verifies",
    allow=("6A80 | 6A86, 6A80 | 6A86 | 6A88, verifies",),
    changes=Changes.TOKEN,
)
def _pv_40(stand: CardStand) -> tuple[str, ...]:
    key = ready(stand, CARD)
    manage(stand)
    unknown = generate(stand, CARD, NO_ALGORITHM).word
    nowhere = generate(stand, NO_SLOT, Algorithm.P256).word
    return unknown, nowhere, signs(stand, CARD, key)


@signing.case(
    "PV-43",
    "Part 2 §3.3.2",
    "A key pair whose generation is cut off is the old one or the new one, whole.",
    "whole, 9000",
    changes=Changes.TOKEN,
    needs=(acts("take_out", "plug_in"),),
    limit=30.0,
)
def _pv_43(stand: CardStand) -> tuple[str, str]:
    may_write(stand)
    key = ready(stand, CARD)
    manage(stand)
    known: list[PublicKey] = [key[1]]
    card = stand.card
    answers: list[Answer] = []

    def work() -> None:
        while not answers or answers[-1].name == SUCCESS:
            answers.append(generate(stand, CARD, Algorithm.P256))
            made_ = public_key(Algorithm.P256, answers[-1].data) if answers[-1].ok else None
            known.extend([made_] if made_ is not None else [])

    thread = in_thread(work)
    stand.act("take_out")
    thread.join()
    stand.act("plug_in")
    card.reconnect(UNPOWER)
    stand.select()
    # What was generated last may have been given to nobody: the metadata tell it.
    told = metadata_key(stand, CARD)
    signature = value(sign(stand, CARD, key[0], block(key[0])).data, 0x7C, 0x82) or b""
    whole = any(valid(each, signature) for each in [*known[-1:], *([told] if told else [])])
    return "whole" if whole else "signs by no known key", get_data(stand, DISCOVERY).word


@signing.case(
    "PV-44",
    "Part 2 §2.4.2",
    "The PIN that one program has given is the card's: others may use it, but a signature key only "
    "once; and nobody can in a transaction of another.",
    "verifies, verifies, 6982, waits, verifies",
    changes=Changes.OBJECTS,
)
def _pv_44(stand: CardStand) -> tuple[str, ...]:
    authentic, other_key = ready(stand, AUTH), ready(stand, SIGNATURE)
    other = stand.connect(stand.new_context())
    logged_in(stand)
    shared = sign(stand, AUTH, authentic[0], block(authentic[0]), other)
    once = sign(stand, SIGNATURE, other_key[0], block(other_key[0]), other)
    spent = sign(stand, SIGNATURE, other_key[0], block(other_key[0])).word
    stand.card.begin()
    verify(stand)
    answers: list[Answer] = []
    thread = in_thread(
        lambda: answers.append(sign(stand, SIGNATURE, other_key[0], block(other_key[0]), other))
    )
    waits = "does not wait" if answers else "waits"
    mine = signs(stand, SIGNATURE, other_key)
    stand.card.end()
    thread.join(PATIENCE)
    return judged(shared, authentic[1]), judged(once, other_key[1]), spent, waits, mine
