"""Published vectors through the C functions of PKCS#11 (vectors/README.md)."""

import json
from collections.abc import Callable, Iterable, Iterator
from ctypes import byref, c_ulong
from pathlib import Path
from typing import Any

import pytest
import vector_ciphers as ciphers
import vector_keys as keys
import vector_signatures as signatures
from c_program import CProgram
from known_answers import KNOWN, WITHOUT
from program import CallError
from vector_bench import Bench, Test, WrongResultError

from ukey_emulator.remote import RackProcess
from ukey_emulator.terms import CKM, CKR

FOLDER = Path(__file__).parent / "vectors"

JUDGES: dict[str, Callable[[Bench, Test, Test], None]] = {
    "AeadTest": ciphers.aead,
    "BlockCipher": ciphers.cipher,
    "DigestTest": ciphers.digest,
    "IndCpaTest": ciphers.padded,
    "KeywrapTest": ciphers.wrapping,
    "MacTest": ciphers.code,
    "MacWithIvTest": ciphers.gmac,
    "DsaP1363Verify": signatures.dsa,
    "EcdsaP1363Verify": signatures.ecdsa,
    "EcdsaVerify": signatures.ecdsa,
    "EddsaSign": signatures.eddsa_signature,
    "EddsaVerify": signatures.eddsa,
    "HashMlDsa": signatures.dsa_of_digest,
    "MlDsaSign": signatures.dsa_signature,
    "MlDsaVerify": signatures.dsa_verification,
    "RsassaPkcs1Sign": signatures.rsa_signing,
    "RsassaPkcs1Verify": signatures.rsa_signature,
    "RsassaPssVerify": signatures.rsa_pss,
    "CofactorEcdh": keys.cofactor_agreement,
    "CounterKdf": keys.counter_kdf,
    "EcdhEcpointTest": keys.agreement,
    "HkdfTest": keys.hkdf,
    "MLKEMEncapsTest": keys.kem_public,
    "MLKEMKeyGen": keys.kem,
    "MLKEMTest": keys.kem,
    "PbkdfTest": keys.pbkdf2,
    "PipelineKdf": keys.pipeline_kdf,
    "RsaesOaepDecrypt": keys.rsa_oaep,
    "RsaesPkcs1Decrypt": keys.rsa_pkcs1,
    "XdhComp": keys.agreement,
}


@pytest.fixture(scope="module")
def plugged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[CProgram, int]]:
    """Load a copy of the module, with a key in a slot."""
    with (
        RackProcess.start() as rack,
        rack.remote() as remote,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("UKEY_HOME", str(rack.home))
        key = remote.new_key()
        program = CProgram(tmp_path_factory.mktemp("module"))
        program.C_Initialize(None)
        yield program, key.slot
        program.C_Finalize(None)


def outcome(bench: Bench, group: Test, test: Test) -> tuple[str, str]:
    """Put one test through: give what it shows to be, and why it is not valid."""
    bench.start_over()
    try:
        JUDGES[group["type"]](bench, group, test)
    except (CallError, WrongResultError) as error:
        return "invalid", str(error)
    return "valid", ""


# What the token does not do: no standard has XTS with AES-192, a key has a byte at least, a
# signature is over a message, not over its representative, its random bytes are not given from
# outside, and no DER stands around ECDSA.
def is_beyond(algorithm: str, group: Test, test: Test) -> bool:
    key_length = algorithm == "AES-XTS" and group.get("keySize") == 384
    empty = any(field in test and not test[field] for field in ("key", "ikm"))
    representative = group["type"] == "MlDsaSign" and ("msg" not in test or "rnd" in test)
    encoded = group["type"] == "EcdsaVerify" and test["result"] != "valid"
    return key_length or empty or representative or encoded


def shown(bench: Bench, groups: list[Test]) -> tuple[list[Any], set[CKM]]:
    """Give the tests that do not show what they were published as, and what the valid ones used."""
    wrong, used = [], set()
    for group in groups:
        for test in group["tests"]:
            if test["result"] == "acceptable" or is_beyond(bench.algorithm, group, test):
                continue
            seen, why = outcome(bench, group, test)
            if seen != test["result"]:
                wrong.append((test["tcId"], test["result"], why))
            elif test["result"] == "valid":
                used |= bench.used
    return wrong, used


def union(sets: Iterable[frozenset[CKM]]) -> set[CKM]:
    return set().union(*sets)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.json")), ids=lambda path: path.stem)
def test_vectors(plugged: tuple[CProgram, int], path: Path) -> None:
    published = json.loads(path.read_text(encoding="utf-8"))
    bench = Bench(*plugged, published["algorithm"])
    wrong, used = shown(bench, published["testGroups"])
    bench.close()
    assert wrong == []
    assert used == KNOWN[path.stem]


def test_every_mechanism_has_known_answers_or_a_reason(plugged: tuple[CProgram, int]) -> None:
    program, slot = plugged
    kinds, count = (c_ulong * 1024)(), c_ulong(1024)
    assert program.rv("C_GetMechanismList", slot, kinds, byref(count)) == CKR.OK
    listed = {CKM(kind) for kind in kinds[: count.value]}
    known, without = union(KNOWN.values()), union(WITHOUT.values())
    assert {kind.name for kind in listed - known - without} == set()
    assert {kind.name for kind in (known | without) - listed} == set()
    assert {kind.name for kind in known & without} == set()
