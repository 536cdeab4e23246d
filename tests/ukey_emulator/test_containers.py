"""Keys and certificates of PKCS#11 programs, seen through the slots of the card."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import load_der_public_key
from piv_program import (
    ED25519,
    P256,
    P384,
    RSA2048,
    X25519,
    PivProgram,
    padded,
    public_key,
    tlv,
)
from program import PIN, Program, attributes
from two_faces import (
    AUTH,
    CERTIFICATES,
    KEY_MAN,
    SIGN,
    certificate,
    certify,
    encoded,
    get,
    held,
    occupied,
    pair,
    put,
    shown,
    store,
)

from ukey_emulator.card.card import Card
from ukey_emulator.cryptoki.wire import Mechanism
from ukey_emulator.rack.keyring import Keyring
from ukey_emulator.terms import CKA, CKM, CKO, CKR, CKU

PARAMETERS = {
    P384: bytes.fromhex("06052b81040022"),
    ED25519: bytes.fromhex("06032b6570"),
    X25519: bytes.fromhex("06032b656e"),
}
P521 = bytes.fromhex("06052b81040023")
MESSAGE = b"what is signed"


def test_an_enrolled_key_is_in_9a_with_its_certificate(program: Program, piv: PivProgram) -> None:
    session = program.open(user=CKU.USER)
    public, _ = pair(program, session, b"anything")
    value = certificate(program, session, public)
    store(program, session, value, ID=b"anything")
    program.C_Logout(session)
    assert occupied(piv) == {AUTH: encoded(program, session, public)}
    assert get(piv, CERTIFICATES[AUTH]) == tlv(0x70, value) + tlv(0x71, b"\0") + tlv(0xFE)
    assert piv.challenge(AUTH, P256, bytes(32))[1] == 0x6982
    piv.verify()
    key = load_der_public_key(program.read(session, public, CKA.PUBLIC_KEY_INFO))
    assert isinstance(key, ec.EllipticCurvePublicKey)
    signature, _ = piv.challenge(AUTH, P256, bytes(32))
    key.verify(signature, bytes(32), ec.ECDSA(Prehashed(hashes.SHA256())))


def test_a_key_is_seen_without_pin_public_key_or_certificate(
    program: Program, piv: PivProgram
) -> None:
    session = program.open(user=CKU.USER)
    public, _ = pair(program, session, b"one")
    expected = encoded(program, session, public)
    program.C_DestroyObject(session, public)
    program.C_CloseSession(session)
    assert occupied(piv) == {AUTH: expected}


@pytest.mark.parametrize(
    ("private", "slots"),
    [
        ({}, [0x9A, 0x9C, 0x82, 0x83]),
        ({"ALWAYS_AUTHENTICATE": True}, [0x9C, 0x9A, 0x82, 0x83]),
        ({"PRIVATE": False}, [0x9E, 0x82, 0x83]),
        ({"SIGN": False}, [0x9D, 0x82, 0x83]),
    ],
)
def test_each_key_has_the_slot_that_suits_it(
    program: Program, piv: PivProgram, private: dict[str, object], slots: list[int]
) -> None:
    session = program.open(user=CKU.USER)
    points = []
    for number, _ in enumerate(slots):
        public, _ = pair(program, session, bytes([number]), **private)
        points.append(encoded(program, session, public))
    assert occupied(piv) == dict(zip(slots, points, strict=True))


@pytest.mark.parametrize(
    ("private", "policy"),
    [({}, 2), ({"ALWAYS_AUTHENTICATE": True}, 3), ({"PRIVATE": False}, 1)],
)
def test_the_pin_policy_is_what_the_attributes_say(
    program: Program, piv: PivProgram, private: dict[str, object], policy: int
) -> None:
    session = program.open(user=CKU.USER)
    pair(program, session, b"one", **private)
    (slot,) = occupied(piv)
    facts = held(piv, slot)
    assert facts is not None
    assert facts[0x02][0] == policy
    assert facts[0x03] == b"\x01"  # generated


def test_all_slots_taken(program: Program, piv: PivProgram) -> None:
    session = program.open(user=CKU.USER)
    made = [pair(program, session, bytes([number])) for number in range(25)]
    before = occupied(piv)
    assert set(before) == {AUTH, SIGN, *range(0x82, 0x96)}
    unseen = {encoded(program, session, public) for public, _ in made} - set(before.values())
    assert len(unseen) == 3
    for handle in made[5]:
        program.C_DestroyObject(session, handle)
    after = occupied(piv)
    assert {slot for slot in before if before[slot] != after[slot]} == {0x82 + 3}
    assert after[0x82 + 3] in unseen


def test_keys_that_piv_has_no_algorithm_for_are_not_shown(
    program: Program, piv: PivProgram
) -> None:
    session = program.open(user=CKU.USER)
    for mechanism, public in (
        (CKM.EC_KEY_PAIR_GEN, attributes(EC_PARAMS=P521, TOKEN=True)),
        (CKM.ML_DSA_KEY_PAIR_GEN, attributes(PARAMETER_SET=1, TOKEN=True)),
        (CKM.RSA_PKCS_KEY_PAIR_GEN, attributes(MODULUS_BITS=1280, TOKEN=True)),
    ):
        given = Mechanism(mechanism, None)
        program.C_GenerateKeyPair(session, given, public, attributes(TOKEN=True), True, True)
    assert occupied(piv) == {}


def test_session_objects_are_not_the_cards(program: Program, piv: PivProgram) -> None:
    session = program.open(user=CKU.USER)
    public, _ = program.ec_pair(session, ID=b"one")
    store(program, session, certificate(program, session, public), TOKEN=False, ID=b"one")
    assert occupied(piv) == {}
    assert shown(piv, AUTH) is None


@pytest.mark.parametrize("algorithm", [P384, ED25519, X25519, RSA2048])
def test_other_algorithms_from_pkcs11(program: Program, piv: PivProgram, algorithm: int) -> None:
    session = program.open(user=CKU.USER)
    mechanism, public, private = {
        P384: (CKM.EC_KEY_PAIR_GEN, {"EC_PARAMS": PARAMETERS[P384]}, {}),
        ED25519: (CKM.EC_EDWARDS_KEY_PAIR_GEN, {"EC_PARAMS": PARAMETERS[ED25519]}, {}),
        X25519: (
            CKM.EC_MONTGOMERY_KEY_PAIR_GEN,
            {"EC_PARAMS": PARAMETERS[X25519]},
            {"DERIVE": True},
        ),
        RSA2048: (CKM.RSA_PKCS_KEY_PAIR_GEN, {"MODULUS_BITS": 2048}, {}),
    }[algorithm]
    made, _ = program.C_GenerateKeyPair(
        session,
        Mechanism(mechanism, None),
        attributes(TOKEN=True, **public),
        attributes(TOKEN=True, **private),
        True,
        True,
    )
    slot = KEY_MAN if algorithm == X25519 else AUTH
    facts = held(piv, slot)
    assert facts is not None
    assert facts[0x01] == bytes([algorithm])
    key = public_key(algorithm, facts[0x04])
    assert key == load_der_public_key(program.read(session, made, CKA.PUBLIC_KEY_INFO))
    piv.verify()
    if isinstance(key, x25519.X25519PublicKey):
        other = x25519.X25519PrivateKey.generate()
        secret, _ = piv.exponentiate(slot, algorithm, other.public_key().public_bytes_raw())
        assert secret == other.exchange(key)
        return
    challenge = padded(2048, MESSAGE) if algorithm == RSA2048 else MESSAGE
    signature, sw = piv.challenge(slot, algorithm, challenge)
    assert sw == 0x9000
    match key:
        case ed25519.Ed25519PublicKey():
            key.verify(signature, MESSAGE)
        case rsa.RSAPublicKey():
            numbers = key.public_numbers()
            raised = pow(int.from_bytes(signature), numbers.e, numbers.n)
            assert raised == int.from_bytes(challenge)
        case ec.EllipticCurvePublicKey():
            digest = MESSAGE.rjust(48, b"\0")
            key.verify(signature, digest, ec.ECDSA(Prehashed(hashes.SHA384())))


def test_a_destroyed_key_is_gone_from_the_card_at_once(program: Program, piv: PivProgram) -> None:
    session = program.open(user=CKU.USER)
    public, private = pair(program, session, b"one")
    cert = store(program, session, certificate(program, session, public), ID=b"one")
    piv.verify()
    assert piv.challenge(AUTH, P256, bytes(32))[1] == 0x9000
    program.C_DestroyObject(session, private)
    assert held(piv, AUTH) is None
    assert piv.challenge(AUTH, P256, bytes(32))[1] in {0x6A80, 0x6A88}
    assert shown(piv, AUTH)
    program.C_DestroyObject(session, cert)
    assert get(piv, CERTIFICATES[AUTH]) == 0x6A82


def test_another_id_and_label_change_no_slot(program: Program, piv: PivProgram) -> None:
    """As programs do that know the identifier only once the key is made."""
    session = program.open(user=CKU.USER)
    made = [pair(program, session, b"") for _ in range(2)]
    before = occupied(piv)
    assert list(before) == [AUTH, SIGN]
    for number, handles in enumerate(made):
        for handle in handles:
            name = attributes(ID=b"new %d" % number, LABEL=b"label")
            program.C_SetAttributeValue(session, handle, name)
    assert occupied(piv) == before
    value = certificate(program, session, made[1][0])
    store(program, session, value, ID=b"new 1")
    assert (shown(piv, AUTH), shown(piv, SIGN)) == (None, value)


def test_a_copy_is_the_same_key(program: Program, piv: PivProgram) -> None:
    session = program.open(user=CKU.USER)
    public, private = pair(program, session, b"one")
    copy = program.C_CopyObject(session, private, attributes(LABEL=b"copy"), True)
    assert occupied(piv) == {AUTH: encoded(program, session, public)}
    program.C_DestroyObject(session, private)
    assert occupied(piv) == {AUTH: encoded(program, session, public)}
    piv.manage()
    piv.ok(0xF6, 0xFF, AUTH)
    assert program.rv("C_GetObjectSize", session, copy, True) == CKR.OBJECT_HANDLE_INVALID


def test_a_renewed_key_takes_the_place_of_the_old_one(program: Program, piv: PivProgram) -> None:
    session = program.open(user=CKU.USER)
    old, old_private = pair(program, session, b"old", LABEL=b"holder")
    old_value = certificate(program, session, old)
    old_certificate = store(program, session, old_value, ID=b"old")
    assert list(occupied(piv)) == [AUTH]
    new, _ = pair(program, session, b"new", LABEL=b"holder (new)")
    points = encoded(program, session, old), encoded(program, session, new)
    assert occupied(piv) == {AUTH: points[0], SIGN: points[1]}
    new_value = certificate(program, session, new, 2)
    store(program, session, new_value, ID=b"new")
    assert (shown(piv, AUTH), shown(piv, SIGN)) == (old_value, new_value)
    for handle in (old, old_private, old_certificate):
        assert shown(piv, AUTH) == old_value
        program.C_DestroyObject(session, handle)
    assert occupied(piv) == {AUTH: points[1]}
    assert (shown(piv, AUTH), shown(piv, SIGN)) == (new_value, None)


def test_slots_stay_when_the_key_is_pulled_out(
    program: Program, piv: PivProgram, keyring: Keyring
) -> None:
    session = program.open(user=CKU.USER)
    for number in range(3):
        pair(program, session, bytes([number]))
    before = occupied(piv)
    keyring.unplug("key")
    keyring.plug("key")
    slot = keyring._slots.get(0)
    assert slot is not None
    assert slot.chip is not None
    assert occupied(PivProgram(Card(slot.chip, keyring._slots.epoch))) == before
    assert len(before) == 3


# Certificates


def test_of_two_certificates_the_newer_is_shown(program: Program, piv: PivProgram) -> None:
    session = program.open(user=CKU.USER)
    public, _ = pair(program, session, b"one")
    values = [certificate(program, session, public, serial) for serial in (1, 2)]
    handles = [store(program, session, value, ID=b"one") for value in values]
    assert shown(piv, AUTH) == values[1]
    program.C_DestroyObject(session, handles[1])
    assert shown(piv, AUTH) == values[0]


def test_a_certificate_of_another_key_gives_way_to_the_keys_own(
    program: Program, piv: PivProgram
) -> None:
    session = program.open(user=CKU.USER)
    public, _ = pair(program, session, b"one")
    own = certificate(program, session, public)
    store(program, session, own, ID=b"one")
    store(
        program, session, certify(ec.generate_private_key(ec.SECP256R1()).public_key()), ID=b"one"
    )
    assert shown(piv, AUTH) == own


def test_two_keys_of_one_id_have_each_their_certificate(program: Program, piv: PivProgram) -> None:
    session = program.open(user=CKU.USER)
    made = [pair(program, session, b"same")[0] for _ in range(2)]
    values = [certificate(program, session, public) for public in made]
    for value in reversed(values):
        store(program, session, value, ID=b"same")
    assert [shown(piv, slot) for slot in (AUTH, SIGN)] == values


def test_a_certificate_without_id_is_its_public_keys(program: Program, piv: PivProgram) -> None:
    session = program.open(user=CKU.USER)
    public, _ = pair(program, session, b"one")
    value = certificate(program, session, public)
    store(program, session, value)
    store(program, session, certify(ec.generate_private_key(ec.SECP256R1()).public_key()))
    assert shown(piv, AUTH) == value


def test_a_private_certificate_wants_the_pin(program: Program, piv: PivProgram) -> None:
    session = program.open(user=CKU.USER)
    public, _ = pair(program, session, b"one")
    value = certificate(program, session, public)
    store(program, session, value, ID=b"one", PRIVATE=True)
    assert get(piv, CERTIFICATES[AUTH]) == 0x6982
    program.C_Logout(session)
    assert get(piv, CERTIFICATES[AUTH]) == 0x6982
    piv.verify()
    assert shown(piv, AUTH) == value
    piv.ok(0x20, 0xFF, 0x80)
    piv.manage()
    other = certificate(program, session, public, 2)
    put(piv, CERTIFICATES[AUTH], tlv(0x70, other))
    assert shown(piv, AUTH) == other
    program.C_Login(session, CKU.USER, PIN)
    (found,) = program.find(session, CLASS=int(CKO.CERTIFICATE))
    assert program.read(session, found, CKA.VALUE) == other


def test_a_key_without_a_mechanism_does_not_make_its_keys_as_a_card(
    keyring: Keyring, tmp_path: Path
) -> None:
    profile = tmp_path / "profile.toml"
    profile.write_text('[mechanisms]\noff = ["CKM_EC_KEY_PAIR_GEN"]\n')
    number = keyring.new(profile=str(profile)).slot
    slot = keyring._slots.get(number)
    assert slot is not None
    assert slot.chip is not None
    piv = PivProgram(Card(slot.chip, keyring._slots.epoch))
    piv.manage()
    assert piv.sw(0x47, 0x00, AUTH, tlv(0xAC, tlv(0x80, bytes([P256])))) == 0x6A80
    piv.generate(AUTH, ED25519)
