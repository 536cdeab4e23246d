"""A token as a foreign program sees it: module, slot, label, PINs, and its environment."""

import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from ukey_emulator import module_path
from ukey_emulator.remote import RackProcess

SECONDS = 60
ENGINE_SETTINGS = """
openssl_conf = all
[all]
engines = engines
[engines]
pkcs11 = engine
[engine]
engine_id = pkcs11
MODULE_PATH = {module}
PIN = {pin}
init = 0
[req]
distinguished_name = name
[name]
"""
"""What openssl.cnf says to sign by the engine pkcs11, with a module and a PIN."""


@dataclass(frozen=True)
class TokenUnderTest:
    """One token in a slot of its own; `label` is empty while it is not initialised."""

    module: str
    slot: int
    label: str
    pin: str
    so_pin: str
    environment: Mapping[str, str] = field(repr=False)

    def run(
        self,
        *command: str | Path,
        expect: int = 0,
        stdin: str = "",
        extra: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> str:
        """Run a program that sees this token; return what it printed, or fail with all of it."""
        done = subprocess.run(
            [str(word) for word in command],
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=SECONDS,
            env={**os.environ, "LC_ALL": "C.UTF-8", **self.environment, **(extra or {})},
            cwd=cwd,
            check=False,
        )
        told = f"$ {' '.join(map(str, command))}\n{done.stdout}"
        assert done.returncode == expect, f"exit code {done.returncode}, expected {expect}\n{told}"
        return done.stdout

    def named(self, label: str) -> "TokenUnderTest":
        """Return the same token under the label that an initialisation gave it."""
        return replace(self, label=label)


@contextmanager
def emulated_token(
    rack: RackProcess, *, initialized: bool, profile: str | Path = "default"
) -> Iterator[TokenUnderTest]:
    """Plug a fresh key into a rack, where it is the only one, and remove it afterwards."""
    with rack.remote() as remote:
        key = remote.new_key(initialized=initialized, profile=profile)
        yield TokenUnderTest(
            module=module_path(),
            slot=key.slot,
            label=key.label if initialized else "",
            pin="123456",
            so_pin="12345678",
            environment={"UKEY_HOME": str(rack.home)},
        )
        remote.remove(key.name)


@contextmanager
def softhsm_token(module: str, folder: Path, *, initialized: bool) -> Iterator[TokenUnderTest]:
    """Give SoftHSM2 a store of its own with one token: the tests themselves are tried on it."""
    store = folder / "softhsm"
    store.mkdir()
    configuration = folder / "softhsm2.conf"
    configuration.write_text(f"directories.tokendir = {store}\nlog.level = ERROR\n")
    token = TokenUnderTest(
        module=module,
        slot=0,
        label="ukey-soft" if initialized else "",
        pin="123456",
        so_pin="12345678",
        environment={"SOFTHSM2_CONF": str(configuration)},
    )
    if initialized:
        command = (
            "softhsm2-util --init-token --free --label ukey-soft --pin 123456 --so-pin 12345678"
        )
        told = token.run(*command.split())
        found = re.search(r"reassigned to slot (\d+)", told)
        assert found, told
        token = replace(token, slot=int(found[1]))
    yield token
