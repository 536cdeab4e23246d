"""Instructions that Yubico has added to PIV, and that tools rely on: PV."""

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import Certificate, ObjectIdentifier, load_der_x509_certificate

from ukey_harness.cases.card.keys import AUTH, CARD, Algorithm, block, made, sign
from ukey_harness.cases.card.needs import extension
from ukey_harness.cases.card.piv import (
    METADATA,
    PIN,
    PUK,
    SECURITY,
    another,
    block_pin,
    change,
    content,
    get_data,
    logged_in,
    manage,
    may_write,
    owners_pin,
    owners_puk,
    placed,
    status,
    tries,
    unblock,
    verify,
)
from ukey_harness.cases.card.stand import CardStand
from ukey_harness.cases.card.transport import security_object
from ukey_harness.cases.case import Changes, Section
from ukey_harness.pcsc.apdu import command
from ukey_harness.pcsc.tlv import objects, tlv, value

extensions = Section("Yubico PIV", "Extensions", sign="")

GET_VERSION, GET_SERIAL, RESET_CARD = 0xFD, 0xF8, 0xFB
SET_RETRIES, ATTEST, IMPORT = 0xFA, 0xF9, 0xFE
FACTORY_PIN, FACTORY_PUK = "123456", "12345678"
ATTESTATION_CERTIFICATE = 0x5FFF01
# Firmware, serial number, and PIN and touch policy, in an attestation.
FACTS = ("1.3.6.1.4.1.41482.3.3", "1.3.6.1.4.1.41482.3.7", "1.3.6.1.4.1.41482.3.8")
VERSION_LENGTH, SERIAL_LENGTH = 3, 4
RETRIES = 5
PIN_FACTS = {0x01, 0x05, 0x06}  # algorithm, whether it is the factory's, tries


@extensions.case(
    "PV-48",
    "GET VERSION, GET SERIAL, GET METADATA",
    "The card tells its version, its serial number, and what it knows of its PIN.",
    "3 bytes, 4 bytes, 01 05 06",
    allow=("6D00, 6D00, 6D00", "3 bytes, 4 bytes | 6D00, 6D00"),  # plain PIV, or an older version
)
def _pv_48(stand: CardStand) -> tuple[str, ...]:
    seen = []
    for ins in (GET_VERSION, GET_SERIAL):
        answer = stand.send(command(ins, 0x00, 0x00, le=256))
        seen.append(f"{len(answer.data)} bytes" if answer.ok else answer.word)
    told = stand.ask(METADATA, 0x00, PIN)
    if not told.ok:
        return *seen, told.word
    try:
        tags = [tag for tag, _ in objects(told.data) if tag in PIN_FACTS]
    except ValueError as error:
        return *seen, str(error)
    return *seen, " ".join(f"{tag:02X}" for tag in sorted(tags))


@extensions.case(
    "PV-49",
    "RESET",
    "A card whose PIN or PUK is not blocked is not reset.",
    "6985, same",
    changes=Changes.TOKEN,
    needs=(extension(RESET_CARD),),
)
def _pv_49(stand: CardStand) -> tuple[str, str]:
    old = placed(stand, SECURITY, security_object(16))
    refused = stand.ask(RESET_CARD, 0x00, 0x00).word
    return refused, "same" if content(stand, SECURITY) == old else "another"


@extensions.case(
    "PV-50",
    "RESET",
    "A card whose PIN and PUK are blocked is reset: keys and objects are gone, PIN and PUK are the "
    "factory's.",
    "9000, gone, gone, 9000, 9000",
    changes=Changes.TOKEN,
    locks=True,
    needs=(extension(RESET_CARD),),
)
def _pv_50(stand: CardStand) -> tuple[str, ...]:
    made(stand, CARD, Algorithm.P256)
    placed(stand, SECURITY, security_object(16))
    block_pin(stand)
    puk = owners_puk(stand)
    while (left := unblock(stand, another(puk), FACTORY_PIN).tries) is not None and left:
        pass
    done = stand.ask(RESET_CARD, 0x00, 0x00).word
    signed = sign(stand, CARD, Algorithm.P256, block(Algorithm.P256))
    object_ = get_data(stand, SECURITY)
    return (
        done,
        "gone" if not signed.ok else "signs",
        "gone" if not object_.ok or object_.data == b"\x53\x00" else "there",
        verify(stand, FACTORY_PIN).word,
        change(stand, PUK, FACTORY_PUK, FACTORY_PUK).word,
    )


@extensions.case(
    "PV-51",
    "SET PIN RETRIES",
    "The tries of PIN and PUK are set by who has given both the management key and the PIN, and "
    "PIN and PUK are the factory's then.",
    "6982, 6982, 9000, 5, 9000",
    changes=Changes.TOKEN,
    needs=(extension(SET_RETRIES),),
)
def _pv_51(stand: CardStand) -> tuple[str | int, ...]:
    may_write(stand)
    pin, puk = owners_pin(stand), owners_puk(stand)
    stand.renew()
    full = tries(stand)
    logged_in(stand)
    without_key = stand.send(command(SET_RETRIES, RETRIES, RETRIES)).word
    stand.renew()
    manage(stand)
    without_pin = stand.send(command(SET_RETRIES, RETRIES, RETRIES)).word
    logged_in(stand)
    done = stand.send(command(SET_RETRIES, RETRIES, RETRIES)).word
    stand.renew()
    left = status(stand).tries
    factory = verify(stand, FACTORY_PIN).word
    if done == "9000" and not stand.subject.renewable:
        manage(stand)
        stand.send(command(SET_RETRIES, full, full))
        change(stand, PIN, FACTORY_PIN, pin)
        change(stand, PUK, FACTORY_PUK, puk)
    return without_key, without_pin, done, -1 if left is None else left, factory


def _certificate(der: bytes | None) -> Certificate | None:
    try:
        return load_der_x509_certificate(der) if der else None
    except ValueError:
        return None


def _issued_by(certificate: Certificate, issuer: Certificate | None) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)  # type: ignore[arg-type]
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


@extensions.case(
    "PV-52",
    "ATTEST",
    "The card attests a key that it has generated, with a certificate of its own issuing, and none "
    "that was imported.",
    "9000, its key, issued by the card, facts, 6A80",
    allow=("9000, its key, issued by the card, facts, 6A86 | 6985",),
    changes=Changes.TOKEN,
    needs=(extension(ATTEST),),
)
def _pv_52(stand: CardStand) -> tuple[str, ...]:
    key = made(stand, AUTH, Algorithm.P256)
    answer = stand.ask(ATTEST, AUTH, 0x00)
    attested = _certificate(answer.data)
    if attested is None:
        return (answer.word,)
    issuer = _certificate(value(content(stand, ATTESTATION_CERTIFICATE) or b"", 0x70))
    told = {each.oid for each in attested.extensions}
    lacking = [each for each in FACTS if ObjectIdentifier(each) not in told]
    scalar = ec.generate_private_key(ec.SECP256R1()).private_numbers().private_value
    stand.must(IMPORT, Algorithm.P256, AUTH, tlv(0x06, scalar.to_bytes(32, "big")))
    form = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    same = attested.public_key().public_bytes(*form) == key.public_bytes(*form)
    return (
        answer.word,
        "its key" if same else "another key",
        "issued by the card" if _issued_by(attested, issuer) else "issued by nobody known",
        f"lacks {' '.join(lacking)}" if lacking else "facts",
        stand.ask(ATTEST, AUTH, 0x00).word,
    )
