"""Foreign programs recorded at a key, and played the recording without it: they see the same."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from holder import make_pair
from token_under_test import (
    ENGINE_SETTINGS,
    TokenUnderTest,
    emulated_token,
    softhsm_token,
)

from ukey_emulator.remote import RackProcess

SOFTHSM = "/usr/lib/softhsm/libsofthsm2.so"
UKEY = [sys.executable, "-m", "ukey_harness.cli"]
DIFFERS = 3

TOOL = """
set -e
tool() { pkcs11-tool --module "$PKCS11_MODULE" --token-label "$LABEL" "$@" 2>&1; }
tool --show-info
tool --list-slots
tool --list-mechanisms
tool --login --pin 123456 --list-objects
tool --login --pin 123456 --sign --mechanism SHA256-RSA-PKCS --id 01 -i data -o signature
tool --login --pin 123456 --keypairgen --key-type EC:prime256v1 --label new --id 02
tool --login --pin 123456 --delete-object --type privkey --id 02
tool --login --pin 654321 --list-objects || true
tool --generate-random 16 | od -x
sha256sum signature
"""

PYTHON = """
import os, threading
import pkcs11
from pkcs11 import Attribute, KeyType, Mechanism, ObjectClass
library = pkcs11.lib(os.environ["PKCS11_MODULE"])
token = library.get_token(token_label=os.environ["LABEL"])
print(token.serial, sorted(map(int, token.slot.get_mechanisms())))
with token.open(user_pin="123456", rw=True) as session:
    for each in session.get_objects():
        print(each, each[Attribute.ID], each[Attribute.LABEL])
    made = session.generate_key(
        KeyType.AES, 256, template={Attribute.SENSITIVE: False, Attribute.EXTRACTABLE: True}
    )
    iv = session.generate_random(128)
    sealed = made.encrypt(b"x" * 100, mechanism_param=iv)
    print(sealed.hex(), made.decrypt(sealed, mechanism_param=iv), made[Attribute.VALUE].hex())
    given = session.create_object({
        Attribute.CLASS: ObjectClass.SECRET_KEY, Attribute.KEY_TYPE: KeyType.AES,
        Attribute.VALUE: b"a key of 16 byte", Attribute.TOKEN: False,
    })
    print(given.encrypt(b"y" * 16, mechanism=Mechanism.AES_ECB).hex())
    try:
        given.sign(b"z", mechanism=Mechanism.SHA256_RSA_PKCS)
    except pkcs11.PKCS11Error as error:
        print(repr(error))
"""

THREADS = """
import os, threading
import pkcs11
from pkcs11 import Mechanism, ObjectClass
library = pkcs11.lib(os.environ["PKCS11_MODULE"])
token = library.get_token(token_label=os.environ["LABEL"])
signed = {}
def work(number):
    with token.open() as session:
        key = session.get_key(label="rsa", object_class=ObjectClass.PRIVATE_KEY)
        signed[number] = [
            key.sign(b"%d %d" % (number, each), mechanism=Mechanism.SHA256_RSA_PKCS).hex()
            for each in range(4)
        ]
with token.open(user_pin="123456"):
    threads = [threading.Thread(target=work, args=(number,)) for number in range(5)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
print(sorted(signed.items()))
"""

KEYTOOL = """
set -e
printf 'name = T\\nlibrary = %s\\nslotListIndex = 0\\n' "$PKCS11_MODULE" > sun.cfg
keytool() {
    command keytool -J-Duser.language=en "$@" -keystore NONE -storetype PKCS11 \\
        -storepass 123456 -addprovider SunPKCS11 -providerArg sun.cfg
}
[ "$1" != prepare ] || keytool -genkeypair -alias java -keyalg RSA -keysize 2048 -dname CN=java
[ "$1" = prepare ] || { keytool -list -v; keytool -certreq -alias java; }
"""

ENGINE = """
set -e
sign() {
    openssl dgst -engine pkcs11 -keyform engine "$1" "pkcs11:token=$LABEL;object=rsa;type=$2" \\
        -sha256 "$3" engine.signature data
}
export OPENSSL_CONF=$PWD/openssl.cnf
sign -sign private -out
sign -verify public -signature
sha256sum engine.signature
"""


@dataclass(frozen=True)
class Stage:
    """A token with a pair, in a folder where programs are recorded and played to."""

    token: TokenUnderTest
    folder: Path

    @property
    def recording(self) -> Path:
        return self.folder / "recording.jsonl"

    def ukey(self, *words: str | Path, there: bool) -> "subprocess.CompletedProcess[str]":
        """Run a command of `ukey`, with the key there or not."""
        own = self.token.environment if there else dict.fromkeys(self.token.environment, "/none")
        return subprocess.run(
            [*UKEY, *map(str, words)],
            env={**os.environ, "LC_ALL": "C.UTF-8", **own, "LABEL": self.token.label},
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def record(self, *command: str | Path) -> str:
        options = ("--module", self.token.module, "--out", self.recording)
        done = self.ukey("record", *options, "--", *command, there=True)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "calls in" in done.stderr
        return done.stdout

    def replay(self, *command: str | Path) -> "subprocess.CompletedProcess[str]":
        return self.ukey("replay", self.recording, "--", *command, there=False)

    def same(self, *command: str | Path) -> None:
        """See that a program prints the same, byte for byte, when it is played to."""
        told = self.record(*command)
        played = self.replay(*command)
        assert (played.returncode, played.stdout) == (0, told), played.stderr


@pytest.fixture(params=["ours", "softhsm"])
def stage(request: pytest.FixtureRequest, rack: RackProcess, tmp_path: Path) -> Iterator[Stage]:
    tokens = {
        "ours": lambda: emulated_token(rack, initialized=True),
        "softhsm": lambda: softhsm_token(SOFTHSM, tmp_path, initialized=True),
    }
    with tokens[request.param]() as token:
        make_pair(token, "rsa:2048", "01", "rsa")
        (tmp_path / "data").write_text("what is signed\n")
        yield Stage(token, tmp_path)


def test_pkcs11_tool(stage: Stage) -> None:
    stage.same("sh", "-c", TOOL)
    assert "123456" not in stage.recording.read_text()


def test_python_pkcs11(stage: Stage) -> None:
    stage.same(sys.executable, "-c", PYTHON)
    assert b"a key of 16 byte".hex() not in stage.recording.read_text()


def test_threads(rack: RackProcess, tmp_path: Path) -> None:
    """Not with SoftHSM2: python-pkcs11 does not ask it to lock, and its sessions trip."""
    with emulated_token(rack, initialized=True) as token:
        make_pair(token, "rsa:2048", "01", "rsa")
        Stage(token, tmp_path).same(sys.executable, "-c", THREADS)


def test_keytool(stage: Stage) -> None:
    environment = {"PKCS11_MODULE": stage.token.module}
    stage.token.run("sh", "-c", KEYTOOL, "sh", "prepare", extra=environment, cwd=stage.folder)
    stage.same("sh", "-c", KEYTOOL, "sh", "use")


def test_the_engine_of_openssl(stage: Stage) -> None:
    settings = ENGINE_SETTINGS.format(module="$ENV::PKCS11_MODULE", pin=stage.token.pin)
    (stage.folder / "openssl.cnf").write_text(settings)
    stage.same("sh", "-c", ENGINE)


SIGN = (
    'pkcs11-tool --module "$PKCS11_MODULE" --token-label "$LABEL" --login --pin 123456 --sign '
    "--mechanism RSA-PKCS --id 01 -i data -o signature"
)


def test_a_program_that_does_something_else_is_told_with_both_sides(stage: Stage) -> None:
    stage.record("sh", "-c", SIGN)
    (stage.folder / "data").write_text("what is not signed\n")
    played = stage.replay("sh", "-c", SIGN)
    assert played.returncode == DIFFERS
    assert "CKR_DEVICE_ERROR" in played.stderr
    expected, got = b"what is signed\n".hex(), b"what is not signed\n".hex()
    lines = [line.strip() for line in played.stderr.splitlines()]
    (wanted,) = [line for line in lines if line.startswith("expected  C_Sign(")]
    (came,) = [line for line in lines if line.startswith("got       C_Sign(")]
    assert f"data={expected}," in wanted
    assert f"data={got}," in came
    told = stage.ukey("replay", "--json", stage.recording, "--", "sh", "-c", SIGN, there=False)
    first = json.loads(told.stderr.splitlines()[-1])["differences"][0]
    assert expected in first["expected"]
    assert got in first["got"]


def test_a_program_that_never_comes_is_missed(stage: Stage) -> None:
    stage.record("sh", "-c", SIGN)
    played = stage.ukey("run", "--replay", stage.recording, "--", "true", there=False)
    assert played.returncode == DIFFERS
    assert "pkcs11-tool never came" in played.stderr


@pytest.mark.parametrize("option", [("--keys", "2"), ("--profile", "tiny"), ("--pcscd",)])
def test_a_recording_is_no_key_of_another_kind(stage: Stage, option: tuple[str, ...]) -> None:
    words = ("run", "--replay", stage.recording, *option, "--", "true")
    refused = stage.ukey(*words, there=False)
    assert refused.returncode == 2
    assert f"{option[0]} does not go with --replay" in refused.stderr
