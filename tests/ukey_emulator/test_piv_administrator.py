"""The management key 9B: proving that one has it, and replacing it (SP 800-73-5 Part 2 §3.2.4)."""

import secrets

import pytest
from piv_program import DEFAULT_KEY, PIN, PivProgram, cipher_of, tlv, within

TRIPLE_DES = 0x03
KEYS = [(0x03, 24), (0x08, 16), (0x0A, 24), (0x0C, 32)]


def replace(piv: PivProgram, algorithm: int, key: bytes, p2: int = 0xFF) -> int:
    return piv.sw(0xFF, 0xFF, p2, bytes([algorithm]) + tlv(0x9B, key))


def challenge(piv: PivProgram, algorithm: int = TRIPLE_DES) -> bytes:
    return within(0x81, within(0x7C, piv.step(algorithm, tlv(0x81))))


def witness(piv: PivProgram, algorithm: int = TRIPLE_DES) -> bytes:
    return within(0x80, within(0x7C, piv.step(algorithm, tlv(0x80))))


def encrypt(block: bytes, key: bytes = DEFAULT_KEY, algorithm: int = TRIPLE_DES) -> bytes:
    return cipher_of(key, algorithm).encryptor().update(block)


def decrypt(block: bytes, key: bytes = DEFAULT_KEY, algorithm: int = TRIPLE_DES) -> bytes:
    return cipher_of(key, algorithm).decryptor().update(block)


@pytest.mark.parametrize(("algorithm", "length"), KEYS)
def test_each_algorithm_authenticates_both_ways(
    piv: PivProgram, algorithm: int, length: int
) -> None:
    assert not piv.manages
    piv.manage()
    key = secrets.token_bytes(length)
    assert replace(piv, algorithm, key) == 0x9000
    piv.card.reset()
    assert not piv.manages
    answer = piv.step(algorithm, tlv(0x82, encrypt(challenge(piv, algorithm), key, algorithm)))
    assert answer == b""
    assert piv.manages
    piv.card.reset()
    piv.manage(key, algorithm)
    assert piv.manages
    for other, _ in KEYS:
        if other != algorithm:
            assert piv.refused(other, tlv(0x80)) == 0x6A86


def test_the_old_number_of_3tdea(piv: PivProgram) -> None:
    piv.step(0x00, tlv(0x82, encrypt(challenge(piv, 0x00))))
    assert piv.manages


def test_the_place_for_the_answer_may_be_left(piv: PivProgram) -> None:
    given = within(0x80, within(0x7C, piv.step(TRIPLE_DES, tlv(0x80) + tlv(0x82))))
    proof = tlv(0x80, decrypt(given)) + tlv(0x81, b"eight by") + tlv(0x82)
    answer = piv.step(TRIPLE_DES, proof)
    assert within(0x82, within(0x7C, answer)) == encrypt(b"eight by")


def test_a_wrong_proof_takes_away_what_a_right_one_gave(piv: PivProgram) -> None:
    piv.manage()
    assert piv.manages
    right = encrypt(challenge(piv))
    assert piv.refused(TRIPLE_DES, tlv(0x82, bytes([right[0] ^ 1]) + right[1:])) == 0x6982
    assert not piv.manages
    piv.manage()
    right = decrypt(witness(piv))
    wrong = tlv(0x80, right[:-1] + bytes([right[-1] ^ 1])) + tlv(0x81, bytes(8))
    assert piv.refused(TRIPLE_DES, wrong) == 0x6982
    assert not piv.manages


def test_a_challenge_is_good_once(piv: PivProgram) -> None:
    right = encrypt(challenge(piv))
    piv.step(TRIPLE_DES, tlv(0x82, right))
    piv.card.reset()
    assert piv.refused(TRIPLE_DES, tlv(0x82, right)) == 0x6982
    # Nor does a wrong try leave it to a second one.
    right = encrypt(challenge(piv))
    assert piv.refused(TRIPLE_DES, tlv(0x82, bytes(8))) == 0x6982
    assert piv.refused(TRIPLE_DES, tlv(0x82, right)) == 0x6982
    # Nor one of another length, nor a template that is no step.
    right = encrypt(challenge(piv))
    assert piv.refused(TRIPLE_DES, tlv(0x82, right + b"\0")) == 0x6982
    assert piv.refused(TRIPLE_DES, tlv(0x82, right)) == 0x6982
    right = encrypt(challenge(piv))
    assert piv.refused(TRIPLE_DES, tlv(0x85, right)) == 0x6A80
    assert piv.refused(TRIPLE_DES, tlv(0x82, right)) == 0x6982
    right = encrypt(challenge(piv))
    assert piv.sw(0x87, TRIPLE_DES, 0x9B, b"\x7c") == 0x6A80
    assert piv.refused(TRIPLE_DES, tlv(0x82, right)) == 0x6982
    assert not piv.manages


def test_a_witness_is_good_once(piv: PivProgram) -> None:
    proof = tlv(0x80, decrypt(witness(piv))) + tlv(0x81, bytes(8))
    piv.step(TRIPLE_DES, proof)
    piv.card.reset()
    assert piv.refused(TRIPLE_DES, proof) == 0x6982
    proof = tlv(0x80, decrypt(witness(piv))) + tlv(0x81, bytes(8))
    challenge(piv)
    assert piv.refused(TRIPLE_DES, proof) == 0x6982
    assert not piv.manages


def test_proofs_that_need_no_key(piv: PivProgram) -> None:
    """What CVE-2025-25201 and its like let pass: echoes, nothing, and answers to another step."""
    assert piv.refused(TRIPLE_DES, tlv(0x82, bytes(8))) == 0x6982
    assert piv.refused(TRIPLE_DES, tlv(0x80, bytes(8)) + tlv(0x81, bytes(8))) == 0x6982
    assert piv.refused(TRIPLE_DES, tlv(0x82, challenge(piv))) == 0x6982
    echo = tlv(0x80, witness(piv)) + tlv(0x81, bytes(8))
    assert piv.refused(TRIPLE_DES, echo) == 0x6982
    # The witness asked for and the challenge answered, or the other way round.
    assert piv.refused(TRIPLE_DES, tlv(0x82, decrypt(witness(piv)))) == 0x6982
    crossed = tlv(0x80, encrypt(challenge(piv))) + tlv(0x81, bytes(8))
    assert piv.refused(TRIPLE_DES, crossed) == 0x6982
    challenge(piv)
    assert piv.refused(TRIPLE_DES, tlv(0x82)) == 0x6A80
    witness(piv)
    assert piv.refused(TRIPLE_DES, tlv(0x80) + tlv(0x81, bytes(8))) == 0x6982
    assert not piv.manages


def test_the_card_encrypts_for_nobody_but_the_administrator(piv: PivProgram) -> None:
    asked = tlv(0x81, b"eight by") + tlv(0x82)
    assert piv.refused(TRIPLE_DES, asked) == 0x6982
    given = challenge(piv)
    assert piv.refused(TRIPLE_DES, tlv(0x81, given) + tlv(0x82)) == 0x6982
    piv.manage()
    assert within(0x82, within(0x7C, piv.step(TRIPLE_DES, asked))) == encrypt(b"eight by")


def test_challenges_are_new_each_time(piv: PivProgram) -> None:
    assert len({*(challenge(piv) for _ in range(8)), *(witness(piv) for _ in range(8))}) == 16


@pytest.mark.parametrize(
    "template",
    [
        b"",
        tlv(0x80) + tlv(0x81),
        tlv(0x82),
        tlv(0x85, bytes(8)),
        tlv(0x81) + tlv(0x85),
        tlv(0x80, bytes(8)),
        tlv(0x80, bytes(8)) + tlv(0x81, bytes(7)),
        tlv(0x80, bytes(8)) + tlv(0x81, bytes(16)),
        tlv(0x81) + tlv(0x81),
        b"\x81",
        b"\x81\x05a",
    ],
)
def test_templates_that_are_no_step(piv: PivProgram, template: bytes) -> None:
    assert piv.refused(TRIPLE_DES, template) == 0x6A80


@pytest.mark.parametrize("data", [b"", b"\x7c", tlv(0x81), tlv(0x7C, tlv(0x81)) + b"\0\0"])
def test_data_that_is_no_template(piv: PivProgram, data: bytes) -> None:
    assert piv.sw(0x87, TRIPLE_DES, 0x9B, data) == 0x6A80


def test_replacing_the_management_key(piv: PivProgram) -> None:
    other = bytes(range(24))
    assert replace(piv, TRIPLE_DES, other) == 0x6982
    piv.verify()
    assert replace(piv, TRIPLE_DES, other) == 0x6982
    piv.manage()
    assert piv.sw(0xFF, 0x00, 0xFF, b"\x03" + tlv(0x9B, other)) == 0x6A86
    assert replace(piv, TRIPLE_DES, other, p2=0x00) == 0x6A86
    assert replace(piv, TRIPLE_DES, other[:-1]) == 0x6A80
    assert replace(piv, 0x08, other) == 0x6A80
    assert replace(piv, 0x07, other) == 0x6A80
    assert piv.sw(0xFF, 0xFF, 0xFF, b"") == 0x6A80
    assert piv.sw(0xFF, 0xFF, 0xFF, b"\x03" + tlv(0x9A, other)) == 0x6A80
    assert piv.sw(0xFF, 0xFF, 0xFF, b"\x03" + tlv(0x9B, other) + b"\0") == 0x6A80
    piv.card.reset()
    piv.manage()
    assert replace(piv, TRIPLE_DES, other, p2=0xFE) == 0x9000
    piv.card.reset()
    right = decrypt(witness(piv))
    assert piv.refused(TRIPLE_DES, tlv(0x80, right) + tlv(0x81, bytes(8))) == 0x6982
    piv.manage(other)


def test_power_takes_what_was_proven_and_what_was_asked(piv: PivProgram) -> None:
    piv.manage()
    piv.card.power_off()
    piv.card.power_on()
    assert not piv.manages
    right = encrypt(challenge(piv))
    piv.card.reset()
    assert piv.refused(TRIPLE_DES, tlv(0x82, right)) == 0x6982
    piv.ok(0x20, 0x00, 0x80, PIN)
    assert not piv.manages
