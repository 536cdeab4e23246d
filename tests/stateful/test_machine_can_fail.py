"""The machine and the model find a module that is spoilt."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from devices import USER_PIN, Emulated
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test
from lengths import QUICK
from machine import Machine
from recipes import template
from standard.values import Cell, Mech, Out, Template
from subjects import Build, Subject

from ukey_emulator import module_path

Spoilt = Callable[[str], Emulated]
SPOILER = Path(__file__).parents[1] / "ukey_harness" / "badmodules" / "spoil.c"
# Rules of spoil.c that random sequences meet soon, and the function at which they are noticed.
OFTEN = {
    "GetSessionInfo word 1 8 2": "",  # nobody is ever logged in
    "DestroyObject instead 0": "C_DestroyObject",
    "Digest xor 3 0 1": "C_Digest",
}
SHA256, HMAC = Mech("SHA256"), Mech("SHA256_HMAC")
# Rarer ones, each with the calls at whose end it must be noticed.
RARE: dict[str, list[tuple[str, Build]]] = {
    "Login~0xa0 return 0": [("Login", lambda c: (c.session(0), 1, b"000000"))],
    "SetAttributeValue instead 0": [
        ("CreateObject", lambda c: (c.session(0), made("data"), Cell())),
        ("SetAttributeValue", lambda c: (c.session(0), c.object(0), Template((("LABEL", b"2"),)))),
    ],
    "DigestFinal~0x150 return 0": [
        ("DigestInit", lambda c: (c.session(0), SHA256)),
        ("DigestFinal", lambda c: (c.session(0), Out(1))),
    ],
    "Verify~0xc0 return 0": [
        ("CreateObject", lambda c: (c.session(0), made("secret"), Cell())),
        ("VerifyInit", lambda c: (c.session(0), HMAC, c.object(0))),
        ("Verify", lambda c: (c.session(0), b"data", bytes(32))),
    ],
    "Logout instead 0": [
        ("Login", lambda c: (c.session(0), 1, USER_PIN)),
        ("Logout", lambda c: (c.session(0),)),
    ],
}


def made(recipe: str) -> Template:
    """Return the template of an object."""
    return template(recipe, b"1", {"TOKEN": False, "PRIVATE": False}, None)


@pytest.fixture(scope="module")
def spoiler(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compile the module that spoils answers."""
    built = tmp_path_factory.mktemp("spoiler") / "spoil.so"
    command = ["gcc", "-shared", "-fPIC", "-O1", "-o", str(built), str(SPOILER), "-ldl"]
    subprocess.run(command, check=True, timeout=60)
    return built


@pytest.fixture
def spoilt(tmp_path: Path, spoiler: Path) -> Iterator[Spoilt]:
    """Make devices with one fault."""
    with ExitStack() as stack:

        def begin(rule: str) -> Emulated:
            environment = {"SPOIL_MODULE": str(module_path()), "SPOIL": rule}
            return stack.enter_context(Emulated(tmp_path, str(spoiler), environment))

        yield begin


def run(device: Emulated, sequences: int) -> None:
    """Run the machine."""

    class Run(Machine):
        @staticmethod
        def make() -> list[Subject]:
            return [Subject(device)]

    run_state_machine_as_test(Run, settings=settings(QUICK, max_examples=sequences))


@pytest.mark.parametrize(("rule", "noticed"), OFTEN.items())
def test_random_sequences_find_a_fault(spoilt: Spoilt, rule: str, noticed: str) -> None:
    with pytest.raises(AssertionError, match=f"emulated: {noticed}"):
        run(spoilt(rule), 60)


@pytest.mark.parametrize("rule", list(RARE))
def test_a_fault_is_found_when_it_is_met(spoilt: Spoilt, rule: str) -> None:
    *before, (function, build) = RARE[rule]
    subject = Subject(spoilt(rule))
    subject.step(0, "OpenSession", lambda c: (c.slot, 6, None, None, Cell()))
    for each, arguments in before:
        subject.step(0, each, arguments)
    with pytest.raises(AssertionError, match=f"emulated: C_{function}"):
        subject.step(0, function, build)


def test_the_spoiler_itself_changes_nothing(spoilt: Spoilt) -> None:
    run(spoilt(""), 5)
