"""DSA keys, signatures and domain parameters; OpenSSL is the judge."""

import hashlib
import json
import math
import subprocess
from pathlib import Path

import pytest
from brought import LOOSE, pair, private, public, secret, sign, verify
from cryptography.hazmat.primitives import keywrap
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from program import ROOM, Program, attributes

from ukey_emulator.chip.objects.kinds import as_number
from ukey_emulator.cryptoki.wire import Mechanism
from ukey_emulator.terms import CKA, CKK, CKM, CKO, CKR, CKU

VECTORS = Path(__file__).parent / "vectors" / "nist_dsa.json"
KWP = Mechanism(CKM.AES_KEY_WRAP_KWP, None)
GENERATE = Mechanism(CKM.DSA_PARAMETER_GEN, None)
PARAMETERS = {"CLASS": int(CKO.DOMAIN_PARAMETERS), "KEY_TYPE": int(CKK.DSA)}
Group = dict[str, bytes]


def published() -> dict[tuple[int, int], Group]:
    """Give NIST's domain parameters by the lengths of p and q."""
    found = {}
    for group in json.loads(VECTORS.read_text(encoding="utf-8"))["testGroups"]:
        p, q, g = (bytes.fromhex(group["publicKey"][part]) for part in "pqg")
        found[8 * len(p), 8 * len(q)] = {"PRIME": p, "SUBPRIME": q, "BASE": g}
    return found


GROUPS = published()
SMALL = GROUPS[1024, 160]
P, Q, G = (int.from_bytes(SMALL[part], "big") for part in ("PRIME", "SUBPRIME", "BASE"))
ORDER = CKR.DOMAIN_PARAMS_INVALID
VALUE = CKR.ATTRIBUTE_VALUE_INVALID


def integer(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8 or 1, "big")


def openssl(folder: Path, *arguments: str, **files: bytes) -> bytes:
    """Run openssl in a folder with these files: give what it prints; it has to succeed."""
    for name, content in files.items():
        (folder / name).write_bytes(content)
    command = ["openssl", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("lengths", GROUPS)
@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (CKM.DSA_SHA1, "sha1"),
        (CKM.DSA_SHA224, "sha224"),
        (CKM.DSA_SHA256, "sha256"),
        (CKM.DSA_SHA384, "sha384"),
        (CKM.DSA_SHA512, "sha512"),
        (CKM.DSA_SHA3_224, "sha3-224"),
        (CKM.DSA_SHA3_256, "sha3-256"),
        (CKM.DSA_SHA3_384, "sha3-384"),
        (CKM.DSA_SHA3_512, "sha3-512"),
    ],
)
def test_openssl_takes_the_signatures_of_a_pair(
    program: Program, tmp_path: Path, lengths: tuple[int, int], kind: CKM, name: str
) -> None:
    session = program.open(user=CKU.USER)
    one, other = pair(program, session, CKM.DSA_KEY_PAIR_GEN, dict(GROUPS[lengths]))
    info = program.read(session, one, CKA.PUBLIC_KEY_INFO)
    assert program.read(session, other, CKA.PUBLIC_KEY_INFO) == info
    half = lengths[1] // 8
    digest = hashlib.new(name.replace("-", "_"), b"message in parts").digest()
    whole, raw = Mechanism(kind, None), Mechanism(CKM.DSA, None)
    for mechanism, data in ((whole, b"message in parts"), (raw, digest)):
        signature = sign(program, session, mechanism, other, data, step=5)
        assert len(signature) == 2 * half
        r, s = (int.from_bytes(part, "big") for part in (signature[:half], signature[half:]))
        openssl(
            tmp_path,
            *("dgst", f"-{name}", "-verify", "key", "-keyform", "DER"),
            *("-signature", "signature", "message"),
            key=info,
            signature=encode_dss_signature(r, s),
            message=b"message in parts",
        )
        for judge, judged_data in ((whole, b"message in parts"), (raw, digest)):
            assert verify(program, session, judge, one, judged_data, signature) == CKR.OK
    bad = signature[:-1] + bytes([signature[-1] ^ 1])
    assert verify(program, session, raw, one, digest, bad) == CKR.SIGNATURE_INVALID
    for short in (signature[1:], b"", signature + b"\0"):
        assert verify(program, session, raw, one, digest, short) == CKR.SIGNATURE_LEN_RANGE


def test_a_key_of_openssl_is_unwrapped_and_signs(program: Program, tmp_path: Path) -> None:
    key_file = ("-inkey", "key", "-keyform", "DER", "-in", "digest")
    sizes = ("-pkeyopt", "dsa_paramgen_bits:1024", "-pkeyopt", "dsa_paramgen_q_bits:160")
    openssl(tmp_path, "genpkey", "-genparam", "-algorithm", "DSA", *sizes, "-out", "group")
    openssl(tmp_path, "genpkey", "-paramfile", "group", "-out", "pem")
    openssl(tmp_path, "pkcs8", "-topk8", "-nocrypt", "-in", "pem", "-outform", "DER", "-out", "key")
    session = program.open(user=CKU.USER)
    wrapping = secret(program, session, bytes(16), CKK.AES)
    template = {"CLASS": int(CKO.PRIVATE_KEY), "KEY_TYPE": int(CKK.DSA), **LOOSE}
    wrapped = keywrap.aes_key_wrap_with_padding(bytes(16), (tmp_path / "key").read_bytes())
    key = program.C_UnwrapKey(session, KWP, wrapping, wrapped, attributes(**template), True)
    raw, digest = Mechanism(CKM.DSA, None), hashlib.sha256(b"message").digest()
    ours = sign(program, session, raw, key, digest)
    r, s = (int.from_bytes(part, "big") for part in (ours[:20], ours[20:]))
    encoded = {"digest": digest, "signature": encode_dss_signature(r, s)}
    openssl(tmp_path, "pkeyutl", "-verify", *key_file, "-sigfile", "signature", **encoded)
    # Theirs is judged by the public key, which has to be the one that they know.
    openssl(tmp_path, "pkeyutl", "-sign", *key_file, "-out", "theirs")
    numbers = decode_dss_signature((tmp_path / "theirs").read_bytes())
    theirs = b"".join(number.to_bytes(20, "big") for number in numbers)
    derived = pair_half(program, session, key)
    assert verify(program, session, raw, derived, digest, theirs) == CKR.OK
    known = openssl(tmp_path, "pkey", "-in", "pem", "-pubout", "-outform", "DER")
    for half in (key, derived):
        assert program.read(session, half, CKA.PUBLIC_KEY_INFO) == known
    again = program.C_WrapKey(session, KWP, wrapping, key, ROOM)
    back = keywrap.aes_key_unwrap_with_padding(bytes(16), again)
    assert back == (tmp_path / "key").read_bytes()
    wrong = attributes(**{**template, "KEY_TYPE": int(CKK.EC)})
    code = program.rv("C_UnwrapKey", session, KWP, wrapping, wrapped, wrong, True)
    assert code == CKR.TEMPLATE_INCONSISTENT


def pair_half(program: Program, session: int, key: int) -> int:
    """Bring the public key of a private one, made of its numbers here."""
    group = {name: program.read(session, key, CKA[name]) for name in SMALL}
    x, p, g = (
        int.from_bytes(program.read(session, key, number), "big")
        for number in (CKA.VALUE, CKA.PRIME, CKA.BASE)
    )
    return public(program, session, CKK.DSA, VALUE=integer(pow(g, x, p)), **group)


@pytest.mark.parametrize("length", [0, 1, 16, 19, 21, 40, 63, 65])
def test_lengths_that_no_digest_has(program: Program, length: int) -> None:
    session = program.open(user=CKU.USER)
    one, other = pair(program, session, CKM.DSA_KEY_PAIR_GEN, dict(SMALL))
    raw = Mechanism(CKM.DSA, None)
    program.C_SignInit(session, raw, other)
    assert program.rv("C_Sign", session, bytes(length), ROOM) == CKR.DATA_LEN_RANGE
    assert verify(program, session, raw, one, bytes(length), bytes(40)) == CKR.DATA_LEN_RANGE


def test_what_a_pair_is_told_and_what_it_is_given(program: Program) -> None:
    session = program.open(user=CKU.USER)
    zeros = {name: b"\0" + value for name, value in SMALL.items()}
    one, other = pair(program, session, CKM.DSA_KEY_PAIR_GEN, zeros, **LOOSE)
    for key in (one, other):
        assert {name: program.read(session, key, CKA[name]) for name in zeros} == zeros
        assert as_number(program.read(session, key, CKA.KEY_TYPE)) == CKK.DSA
        assert as_number(program.read(session, key, CKA.KEY_GEN_MECHANISM)) == CKM.DSA_KEY_PAIR_GEN
    x, y = (int.from_bytes(program.read(session, key, CKA.VALUE), "big") for key in (other, one))
    assert 0 < x < Q
    assert y == pow(G, x, P)
    _, hidden = pair(program, session, CKM.DSA_KEY_PAIR_GEN, dict(SMALL), EXTRACTABLE=True)
    with pytest.raises(AssertionError, match="ATTRIBUTE_SENSITIVE"):
        program.read(session, hidden, CKA.VALUE)
    mechanism = Mechanism(CKM.DSA_KEY_PAIR_GEN, None)
    for seen, unseen, code in (
        ({"PRIME": SMALL["PRIME"], "BASE": SMALL["BASE"]}, {}, CKR.TEMPLATE_INCOMPLETE),
        ({**SMALL, "VALUE": b"\2"}, {}, CKR.ATTRIBUTE_READ_ONLY),
        (SMALL, {"PRIME": SMALL["PRIME"]}, CKR.ATTRIBUTE_READ_ONLY),
        ({**SMALL, "BASE": b"\2"}, {}, CKR.DOMAIN_PARAMS_INVALID),
    ):
        templates = attributes(**seen), attributes(**unseen)
        assert program.rv("C_GenerateKeyPair", session, mechanism, *templates, True, True) == code


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"PRIME": integer(P + 1)}, ORDER),
        ({"PRIME": b""}, ORDER),
        ({"PRIME": integer(P >> 8)}, ORDER),
        ({"SUBPRIME": integer(Q + 2)}, ORDER),
        ({"SUBPRIME": integer(Q >> 1)}, ORDER),
        ({"SUBPRIME": b""}, ORDER),
        ({"BASE": b"\0"}, ORDER),
        ({"BASE": b"\1"}, ORDER),
        ({"BASE": integer(P - 1)}, ORDER),
        ({"BASE": integer(P)}, ORDER),
        ({"VALUE": b""}, VALUE),
        ({"VALUE": integer(Q)}, VALUE),
        ({"VALUE": integer(P)}, VALUE),
        ({"VALUE": b"\xff" * (1 << 20)}, VALUE),
    ],
)
def test_numbers_that_are_no_key(program: Program, changed: Group, code: CKR) -> None:
    session = program.open(user=CKU.USER)
    for kind in (CKO.PUBLIC_KEY, CKO.PRIVATE_KEY, CKO.DOMAIN_PARAMETERS):
        if kind is CKO.DOMAIN_PARAMETERS and "VALUE" in changed:
            continue
        value = {} if kind is CKO.DOMAIN_PARAMETERS else {"VALUE": integer(G)}
        if kind is CKO.PRIVATE_KEY:
            value = {"VALUE": b"\2"}
        template = attributes(
            CLASS=int(kind), KEY_TYPE=int(CKK.DSA), **{**SMALL, **value, **changed}
        )
        assert program.rv("C_CreateObject", session, template, True) == code
    assert program.find(session) == []


def prime_above(start: int) -> int:
    """Give the next prime of the form n * Q + 1."""
    number = start - start % Q + 1
    while not number % 2 or pow(2, number - 1, number) != 1:
        number += Q
    return number


# The base has the order of the subprime in both, but one of the primes is none; the library
# cannot sign in the first.
EVEN = (1 << 1023) + 175 * (1 << 159) + 1
ONE, OTHER = prime_above(3 << 510), prime_above(3 << 510 | 1 << 500)


@pytest.mark.parametrize(
    ("p", "q", "g"),
    [
        (EVEN, 1 << 159, pow(3, (EVEN - 1) >> 159, EVEN)),
        (ONE * OTHER, Q, pow(2, math.lcm(ONE - 1, OTHER - 1) // Q, ONE * OTHER)),
    ],
    ids=["even subprime", "product of primes"],
)
def test_a_prime_that_is_none(program: Program, p: int, q: int, g: int) -> None:
    assert (p.bit_length(), q.bit_length()) == (1024, 160)
    assert (p - 1) % q == 0
    assert pow(g, q, p) == 1 != g
    session = program.open(user=CKU.USER)
    group = {"PRIME": integer(p), "SUBPRIME": integer(q), "BASE": integer(g)}
    for kind in (CKO.PRIVATE_KEY, CKO.PUBLIC_KEY):
        template = attributes(CLASS=int(kind), KEY_TYPE=int(CKK.DSA), VALUE=integer(g % q), **group)
        code = program.rv("C_CreateObject", session, template, True)
        assert code == CKR.DOMAIN_PARAMS_INVALID
    arguments = (Mechanism(CKM.DSA_KEY_PAIR_GEN, None), attributes(**group), [], True, True)
    assert program.rv("C_GenerateKeyPair", session, *arguments) == CKR.DOMAIN_PARAMS_INVALID


def test_a_private_key_is_of_no_other_public_key(program: Program) -> None:
    session = program.open(user=CKU.USER)
    key = private(program, session, CKK.DSA, VALUE=b"\2", **SMALL)
    info = program.read(session, key, CKA.PUBLIC_KEY_INFO)
    private(program, session, CKK.DSA, VALUE=b"\2", PUBLIC_KEY_INFO=info, **SMALL)
    with pytest.raises(AssertionError, match="ATTRIBUTE_VALUE_INVALID"):
        private(program, session, CKK.DSA, VALUE=b"\3", PUBLIC_KEY_INFO=info, **SMALL)


@pytest.mark.parametrize(("bits", "subprime_bits"), [(1024, 160), (2048, 256)])
def test_parameters_are_made_and_used(program: Program, bits: int, subprime_bits: int) -> None:
    session = program.open(user=CKU.USER)
    made = program.C_GenerateKey(
        session, GENERATE, attributes(PRIME_BITS=bits, LABEL="group", TOKEN=True), True
    )
    assert program.find(session, **PARAMETERS) == [made]
    assert program.read(session, made, CKA.LABEL) == b"group"
    assert program.read(session, made, CKA.LOCAL) == b"\1"
    group = {name: program.read(session, made, CKA[name]) for name in SMALL}
    p, q, g = (int.from_bytes(value, "big") for value in group.values())
    assert (p.bit_length(), q.bit_length(), pow(g, q, p)) == (bits, subprime_bits, 1)
    one, other = pair(program, session, CKM.DSA_KEY_PAIR_GEN, dict(group))
    mechanism = Mechanism(CKM.DSA_SHA256, None)
    signature = sign(program, session, mechanism, other, b"message")
    assert verify(program, session, mechanism, one, b"message", signature) == CKR.OK


@pytest.mark.parametrize(
    ("template", "code"),
    [
        ({}, CKR.TEMPLATE_INCOMPLETE),
        ({"PRIME_BITS": 512}, CKR.ATTRIBUTE_VALUE_INVALID),
        ({"PRIME_BITS": 1025}, CKR.ATTRIBUTE_VALUE_INVALID),
        ({"PRIME_BITS": 4096}, CKR.ATTRIBUTE_VALUE_INVALID),
        ({"PRIME_BITS": 1024, "PRIME": SMALL["PRIME"]}, CKR.ATTRIBUTE_READ_ONLY),
        ({"PRIME_BITS": 1024, "CLASS": int(CKO.SECRET_KEY)}, CKR.TEMPLATE_INCONSISTENT),
        ({"PRIME_BITS": 1024, "KEY_TYPE": int(CKK.RSA)}, CKR.TEMPLATE_INCONSISTENT),
        ({"PRIME_BITS": 1024, "SENSITIVE": True}, CKR.TEMPLATE_INCONSISTENT),
    ],
)
def test_parameters_that_are_not_made(
    program: Program, template: dict[str, object], code: CKR
) -> None:
    session = program.open(user=CKU.USER)
    assert program.rv("C_GenerateKey", session, GENERATE, attributes(**template), True) == code


def test_parameters_that_are_brought_are_no_key(program: Program) -> None:
    session = program.open(user=CKU.USER)
    brought = program.C_CreateObject(session, attributes(**PARAMETERS, **SMALL), True)
    assert as_number(program.read(session, brought, CKA.PRIME_BITS)) == 1024
    copy = program.C_CopyObject(session, brought, [], True)
    for obj in (brought, copy):
        assert program.read(session, obj, CKA.LOCAL) == b"\0"
        with pytest.raises(AssertionError, match="ATTRIBUTE_TYPE_INVALID"):
            program.read(session, obj, CKA.KEY_GEN_MECHANISM)
        for init in ("C_SignInit", "C_VerifyInit"):
            code = program.rv(init, session, Mechanism(CKM.DSA, None), obj)
            assert code == CKR.KEY_HANDLE_INVALID
        wrapping = secret(program, session, bytes(16), CKK.AES)
        assert program.rv("C_WrapKey", session, KWP, wrapping, obj, ROOM) == CKR.KEY_HANDLE_INVALID
    bits = attributes(**PARAMETERS, **SMALL, PRIME_BITS=1024)
    assert program.rv("C_CreateObject", session, bits, True) == CKR.ATTRIBUTE_READ_ONLY
    other = attributes(CLASS=int(CKO.DOMAIN_PARAMETERS), KEY_TYPE=int(CKK.RSA))
    assert program.rv("C_CreateObject", session, other, True) == CKR.ATTRIBUTE_VALUE_INVALID
