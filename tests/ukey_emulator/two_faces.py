"""What the tests of both faces share: keys and certificates by the one, slots by the other."""

import datetime as dt

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key
from piv_program import PivProgram, members, tlv, within
from program import P256 as P256_PARAMETERS
from program import Program, attributes

from ukey_emulator.cryptoki.wire import Mechanism
from ukey_emulator.terms import CKA, CKC, CKM, CKO

AUTH, SIGN, KEY_MAN, CARD_AUTH, RETIRED = 0x9A, 0x9C, 0x9D, 0x9E, 0x82
CERTIFICATES = {AUTH: 0x5FC105, SIGN: 0x5FC10A, KEY_MAN: 0x5FC10B, CARD_AUTH: 0x5FC101}


def certificate(program: Program, session: int, public: int, serial: int = 1) -> bytes:
    """Make a certificate for a public key on the token, signed by anybody."""
    key = load_der_public_key(program.read(session, public, CKA.PUBLIC_KEY_INFO))
    return certify(key, serial)


def certify(key: object, serial: int = 1) -> bytes:
    """Make a certificate for a public key."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "holder")])
    now = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key)  # type: ignore[arg-type]
        .serial_number(serial)
        .not_valid_before(now)
        .not_valid_after(now + dt.timedelta(days=1))
    )
    authority = ec.generate_private_key(ec.SECP256R1())
    return builder.sign(authority, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def store(program: Program, session: int, value: bytes, **more: object) -> int:
    """Store a certificate through PKCS#11."""
    wanted: dict[str, object] = {
        "CLASS": int(CKO.CERTIFICATE),
        "CERTIFICATE_TYPE": int(CKC.X_509),
        "TOKEN": True,
        "SUBJECT": b"",
        "VALUE": value,
    }
    return int(program.C_CreateObject(session, attributes(**(wanted | more)), True))


def pair(program: Program, session: int, ident: bytes, **private: object) -> tuple[int, int]:
    """Make a P-256 pair on the token, both halves with this CKA_ID."""
    wanted: dict[str, object] = {"TOKEN": True, "ID": ident, "DERIVE": True}
    public = attributes(EC_PARAMS=P256_PARAMETERS, TOKEN=True, ID=ident)
    made = program.C_GenerateKeyPair(
        session,
        Mechanism(CKM.EC_KEY_PAIR_GEN, None),
        public,
        attributes(**(wanted | private)),
        True,
        True,
    )
    return int(made[0]), int(made[1])


def get(piv: PivProgram, tag: int) -> bytes | int:
    """Read a data object, or give the status word."""
    answer, sw = piv.send(0xCB, 0x3F, 0xFF, tlv(0x5C, tag.to_bytes(3)))
    return within(0x53, answer) if sw == 0x9000 else sw


def put(piv: PivProgram, tag: int, content: bytes) -> None:
    """Put a data object."""
    piv.ok(0xDB, 0x3F, 0xFF, tlv(0x5C, tag.to_bytes(3)) + tlv(0x53, content))


def shown(piv: PivProgram, slot: int) -> bytes | None:
    """Give the certificate that a slot shows."""
    content = get(piv, CERTIFICATES.get(slot, 0x5FC10D - RETIRED + slot))
    return members(content)[0x70] if isinstance(content, bytes) else None


def held(piv: PivProgram, slot: int) -> dict[int, bytes] | None:
    """Give the metadata of a slot."""
    answer, sw = piv.send(0xF7, 0x00, slot)
    assert sw in {0x9000, 0x6A88}
    return members(answer) if sw == 0x9000 else None


def occupied(piv: PivProgram) -> dict[int, bytes]:
    """Give the slots that hold keys, with the public keys."""
    found = {slot: held(piv, slot) for slot in (0x9A, 0x9C, 0x9D, 0x9E, *range(0x82, 0x96))}
    return {slot: facts[0x04] for slot, facts in found.items() if facts}


def encoded(program: Program, session: int, public: int) -> bytes:
    """Give a P-256 public key as a card does."""
    return tlv(0x86, program.read(session, public, CKA.EC_POINT)[2:])
