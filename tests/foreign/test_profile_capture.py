"""A profile captured from SoftHSM2: only numbers tell the emulated key from it then."""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from little_authority import DER, LittleAuthority
from token_under_test import TokenUnderTest, emulated_token, softhsm_token

from ukey_emulator.recording.file import Recording
from ukey_emulator.remote import RackProcess

SOFTHSM = "/usr/lib/softhsm/libsofthsm2.so"
UKEY = Path(sys.executable).parent / "ukey"
# Reads every attribute that the standard knows, of every object that is seen without a login.
LISTING = """
import sys, json
from ukey_emulator.capture.module import opened
from ukey_emulator.terms import CKA
with opened(sys.argv[1]) as module:
    found = module.objects(int(sys.argv[2]), [int(each) for each in CKA])
    listed = [{CKA(kind).name: value.hex() for kind, value in obj.items()} for obj in found]
print(json.dumps(sorted(listed, key=str)))
"""


@pytest.fixture
def real(tmp_path: Path) -> Iterator[TokenUnderTest]:
    """Give a token of SoftHSM2 with an object of each kind that is seen without a login."""
    with softhsm_token(SOFTHSM, tmp_path, initialized=True) as token:
        login = "--slot", str(token.slot), "--login", "--pin", token.pin
        tool = "pkcs11-tool", "--module", token.module, *login
        for number, key in enumerate(("rsa:2048", "EC:prime256v1"), 1):
            pair = "--key-type", key, "--label", f"key {number}", "--id", f"0{number}"
            token.run(*tool, "--keypairgen", *pair)
        data = tmp_path / "data"
        data.write_bytes(b"some data")
        told = "--label", "数据", "--application-label", "tests"
        token.run(*tool, "--write-object", data, "--type", "data", *told)
        certificate = tmp_path / "certificate.der"
        certificate.write_bytes(LittleAuthority().root.public_bytes(DER))
        told = "--label", "certificate", "--id", "01"
        token.run(*tool, "--write-object", certificate, "--type", "cert", *told)
        yield token


def capture(token: TokenUnderTest, *more: str | Path) -> str:
    return token.run(UKEY, "profile", "capture", "--slot", str(token.slot), *more)


@pytest.fixture
def emulated(real: TokenUnderTest, rack: RackProcess, tmp_path: Path) -> Iterator[TokenUnderTest]:
    profile = tmp_path / "captured.toml"
    capture(real, "--module", real.module, "--objects", "--out", profile)
    with emulated_token(rack, initialized=True, profile=profile) as token:
        yield token


def slots(token: TokenUnderTest) -> str:
    """Give what pkcs11-tool lists of the token's slot, but for its numbers."""
    told = token.run("pkcs11-tool", "--module", token.module, "--list-slots")
    (mine,) = [
        part for part in re.split(r"(?m)^Slot \d+ ", told) if f"({token.slot:#x})" in part[:24]
    ]
    return re.sub(r"serial num +: \S+", "serial", mine.partition(": ")[2]).strip()


def test_pkcs11_tool_lists_the_same(real: TokenUnderTest, emulated: TokenUnderTest) -> None:
    assert slots(real) == slots(emulated)
    assert "SoftHSM v2" in slots(real)
    mechanisms, objects = [], []
    for token in (real, emulated):
        tool = "pkcs11-tool", "--module", token.module, "--slot", str(token.slot)
        mechanisms.append(token.run(*tool, "--list-mechanisms").splitlines()[1:])
        told = token.run(*tool, "--list-objects")
        shown = re.sub(r"(?m)^(Data object) \d+$", r"\1", told)
        objects.append(sorted(re.split(r"(?m)^(?=\S)", shown)))
    assert mechanisms[0] == mechanisms[1]
    assert len(mechanisms[0]) > 50
    kept = [[each for each in listed if not each.startswith("Using slot")] for listed in objects]
    assert kept[0] == kept[1]
    assert len(kept[0]) >= 4


def test_every_attribute_is_the_same(real: TokenUnderTest, emulated: TokenUnderTest) -> None:
    listed = [
        json.loads(token.run(sys.executable, "-c", LISTING, token.module, str(token.slot)))
        for token in (real, emulated)
    ]
    assert listed[0] == listed[1]
    assert len(listed[0]) == 4
    assert all(len(attributes) > 8 for attributes in listed[0])


def test_the_captured_key_can_be_used(emulated: TokenUnderTest) -> None:
    tool = "pkcs11-tool", "--module", emulated.module, "--slot", str(emulated.slot)
    login = "--login", "--pin", emulated.pin
    pair = "--key-type", "rsa:2048", "--label", "new", "--id", "07"
    emulated.run(*tool, *login, "--keypairgen", *pair)
    told = emulated.run(*tool, *login, "--list-objects")
    assert told.count("label:      new") == 2


def test_a_capture_reads_and_does_nothing_else(real: TokenUnderTest, tmp_path: Path) -> None:
    recording = tmp_path / "capture.jsonl"
    words = UKEY, "profile", "capture", "--slot", str(real.slot), "--objects"
    real.run(UKEY, "record", "--module", real.module, "--out", recording, "--", *words)
    asked = {call.function.name for call in Recording.read(recording).calls}
    assert "C_GetAttributeValue" in asked
    assert asked <= {
        *("C_Initialize", "C_Finalize", "C_GetFunctionList", "C_GetSlotList", "C_GetSlotInfo"),
        *("C_GetTokenInfo", "C_GetMechanismList", "C_GetMechanismInfo", "C_OpenSession"),
        *("C_CloseSession", "C_FindObjectsInit", "C_FindObjects", "C_FindObjectsFinal"),
        "C_GetAttributeValue",
    }


def test_times_come_from_a_recording(real: TokenUnderTest, tmp_path: Path) -> None:
    recording, out = tmp_path / "program.jsonl", tmp_path / "timed.toml"
    tool = f"pkcs11-tool --module $PKCS11_MODULE --slot {real.slot} --login --pin {real.pin}"
    program = f"{tool} --keypairgen --key-type rsa:2048 --label timed"
    record = "record", "--module", real.module, "--out", recording
    real.run(UKEY, *record, "--", "sh", "-c", program)
    capture(real, "--module", real.module, "--trace", recording, "--out", out)
    told = json.loads(real.run(UKEY, "profile", "show", out, "--json"))
    generated = [each for each in told["timing"] if each["function"] == "C_GenerateKeyPair"]
    assert [each["mechanism"] for each in generated] == ["CKM_RSA_PKCS_KEY_PAIR_GEN"]
    assert generated[0]["seconds"] > 0


def test_what_cannot_be_captured_is_told(real: TokenUnderTest, tmp_path: Path) -> None:
    told = real.run(UKEY, "profile", "capture", "--module", real.module, expect=1)
    assert "not clear: choose by --slot or --token" in told
    command = UKEY, "profile", "capture", "--token", "nobody", "--module", real.module, "--json"
    assert "there is no such token" in json.loads(real.run(*command, expect=1))["error"]["message"]
    none = tmp_path / "none.so"
    told = real.run(UKEY, "profile", "capture", "--module", none, expect=1)
    assert "is no PKCS#11 module" in told
    assert "Traceback" not in told
