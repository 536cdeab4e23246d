"""Programs that look for a YubiKey by its reader's name or its card, on keys of that profile."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ukey_emulator.remote import RackProcess

SCRIPTS = Path(sys.executable).parent
YKMAN = SCRIPTS / "ykman"
NAME = "Yubico YubiKey CCID"
PIN = "123456"
SELECT_PIV = "00A4040005A000000308"
GET_KEY_HISTORY = "00CB3FFF055C035FC10C00"
MANAGING = ("-m", "0102030405060708" * 3)


class Keys:
    """A rack of one's own with keys of the profile, and programs that see its readers."""

    def __init__(self, rack: RackProcess, folder: Path) -> None:
        self.remote = rack.remote()
        self._folder = folder
        self._environment = {
            **os.environ,
            "PCSCLITE_CSOCK_NAME": str(rack.readers_socket),
            "XDG_DATA_HOME": str(folder),  # ykman writes down which keys it has seen
            "LC_ALL": "C.UTF-8",
        }

    def add(self) -> str:
        """Make a key; give its name in the rack."""
        return self.remote.new_key(profile="yubikey").name

    def run(self, *words: str | Path) -> str:
        """Run a program, which succeeds; give what it prints."""
        done = subprocess.run(
            words,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            env=self._environment,
            cwd=self._folder,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    def certify(self, slot: str = "9a") -> None:
        """Have ykman make a key pair and its certificate; public.pem is left."""
        keys = (YKMAN, "piv", "keys", "generate", *MANAGING, "-a", "ECCP256")
        self.run(*keys, slot, "public.pem")
        certificates = (YKMAN, "piv", "certificates", "generate", *MANAGING, "-P", PIN)
        self.run(*certificates, "-s", "CN=imitated", slot, "public.pem")

    def readers(self) -> list[str]:
        """Give the names of the readers, as OpenSC lists them."""
        told = self.run("opensc-tool", "--list-readers")
        return [line[line.index(NAME) :] for line in told.splitlines() if NAME in line]


@pytest.fixture
def keys(tmp_path: Path) -> Iterator[Keys]:
    """Give a rack without keys."""
    with RackProcess.start(tmp_path / "home") as rack:
        keys = Keys(rack, tmp_path)
        with keys.remote:
            yield keys


def test_ykman_is_told_of_no_reader(keys: Keys) -> None:
    keys.add()
    assert "(5.7.4) [CCID]" in keys.run(YKMAN, "list")
    told = keys.run(YKMAN, "piv", "info")
    assert "PIN tries remaining:      10/10" in told
    assert "Management key algorithm: AES192" in told
    keys.certify()
    assert "CN=imitated" in keys.run(YKMAN, "piv", "info")


def test_yubicos_tool_and_module_are_told_of_no_reader(keys: Keys, tmp_path: Path) -> None:
    keys.add()
    keys.certify()
    assert "PIN tries left:\t10" in keys.run("yubico-piv-tool", "-a", "status")
    keys.run("yubico-piv-tool", "-a", "attest", "-s", "9a", "-o", "attestation.pem")
    (tmp_path / "digest").write_bytes(bytes(32))
    sign = ("--sign", "-m", "ECDSA", "--id", "01", "--signature-format", "openssl")
    module = ("pkcs11-tool", "--module", "libykcs11.so", "--login", "--pin", PIN)
    keys.run(*module, *sign, "-i", "digest", "-o", "signature")
    judge = ("-verify", "-pubin", "-inkey", "public.pem", "-in", "digest", "-sigfile", "signature")
    keys.run("openssl", "pkeyutl", *judge)


def test_what_nobody_has_put_is_not_there(keys: Keys) -> None:
    """So with key histories, which yubikey.rs takes for the certificate of a slot."""
    keys.add()
    told = keys.run("yubico-piv-tool", "-a", "status")
    assert "CHUID:\tNo data available" in told
    assert "CCC:\tNo data available" in told
    keys.certify("82")  # with which ykman puts a CHUID, too
    told = keys.run("yubico-piv-tool", "-a", "status")
    assert "CHUID:\t30" in told
    assert "imitated" in told
    told = keys.run("opensc-tool", "-s", SELECT_PIV, "-s", GET_KEY_HISTORY)
    assert told.endswith("(SW1=0x6A, SW2=0x82)\n")


def test_opensc_takes_the_card_for_a_yubikey(keys: Keys) -> None:
    keys.add()
    told = keys.run("opensc-tool", "--atr", "--name")
    assert "3b:fd:13:00:00:81:31:fe:15:80:73:c0:21:c0:57:59:75:62:69:4b:65:79:40" in told
    assert "Personal Identity Verification Card" in told


def test_keys_stay_apart_and_take_their_readers_along(keys: Keys) -> None:
    first, second, third = (keys.add() for _ in range(3))
    assert keys.readers() == [f"{NAME} 00 00", f"{NAME} 01 00", f"{NAME} 02 00"]
    assert len(set(keys.run(YKMAN, "list", "--serials").split())) == 3
    keys.remote.unplug(second)
    assert keys.readers() == [f"{NAME} 00 00", f"{NAME} 02 00"]
    assert len(keys.run(YKMAN, "list", "--serials").split()) == 2
    keys.remote.plug(second)
    assert sorted(keys.readers()) == [f"{NAME} 00 00", f"{NAME} 01 00", f"{NAME} 02 00"]
    keys.remote.remove(first)
    keys.remote.unplug(third)
    assert keys.readers() == [f"{NAME} 01 00"]


def test_a_key_keeps_its_looks(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with RackProcess.start(home) as rack, rack.remote() as remote:
        remote.new_key(profile="yubikey")
    with RackProcess.start(home) as rack:
        keys = Keys(rack, tmp_path)
        with keys.remote:
            assert keys.readers() == [f"{NAME} 00 00"]


def test_ukey_run_gives_a_key_of_the_profile(tmp_path: Path) -> None:
    environment = {**os.environ, "XDG_DATA_HOME": str(tmp_path)}
    command = (SCRIPTS / "ukey", "run", "--profile", "yubikey", "--", YKMAN, "piv", "info")
    told = subprocess.check_output(command, text=True, timeout=60, env=environment, cwd=tmp_path)
    assert "PIV version:              5.7.4" in told
