"""Modules that harm the process they are in cost one verdict each, in words; the run goes on."""

import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ukey_harness.cases.case import Case
from ukey_harness.cases.catalogue import all_cases
from ukey_harness.cases.finding import Judgement
from ukey_harness.cases.running import suite
from ukey_harness.cases.running.supply import Supply
from ukey_harness.cases.running.worker import Worker
from ukey_harness.cases.subject import Subject
from ukey_harness.device.opening import device_of

SOURCE = Path(__file__).parent / "badmodules" / "rogue.c"
CASE = replace(all_cases()["GP-04"], limit=1.0)  # C_Initialize twice and C_GetSlotList


@pytest.fixture(scope="module")
def rogues(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Compile the module, with C_GetFunctionList and without; and write what is no module."""
    folder = tmp_path_factory.mktemp("rogues")
    built = {"rogue": folder / "rogue.so", "bare": folder / "bare.so", "text": folder / "text.so"}
    for name, options in (("rogue", []), ("bare", ["-DNO_TABLE"])):
        command = ["gcc", "-shared", "-fPIC", "-O1", *options, "-o", str(built[name]), str(SOURCE)]
        subprocess.run(command, check=True, timeout=60)
    built["text"].write_text("no shared library\n")
    return built


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    with Worker() as made:
        yield made


def subject(module: Path, deed: str = "") -> Subject:
    environment = {"ROGUE": deed}
    return Subject(str(module), "", "", "123456", "12345678", environment=environment)


@pytest.mark.parametrize(
    ("deed", "told"),
    [
        ("load-crash", "SIGSEGV"),
        ("table-abort", "SIGABRT"),
        ("init-crash", "SIGSEGV"),
        ("init-exit", "exit code 3"),
        ("init-leave", "exit code 0"),
        ("init-spin", "did not return within 1 s"),
        ("load-spin", "did not return within 1 s"),
        ("init-close", "closed the line"),
    ],
)
def test_what_ends_the_process_is_told(
    rogues: dict[str, Path], worker: Worker, deed: str, told: str
) -> None:
    finding = worker.run(CASE, subject(rogues["rogue"], deed))
    assert finding.judged(CASE) is Judgement.CRASHED
    assert told in finding.actual
    after = worker.run(CASE, subject(rogues["rogue"]))
    assert after.seen == ("OK", "OK", "FUNCTION_FAILED")


@pytest.mark.parametrize("deed", ["init-deaf", "init-chatter", "init-greedy", "init-flood"])
def test_what_does_not_end_the_process_changes_no_verdict(
    rogues: dict[str, Path], worker: Worker, deed: str
) -> None:
    case = replace(CASE, limit=60.0)
    finding = worker.run(case, subject(rogues["rogue"], deed))
    assert finding.judged(case) is Judgement.UNMET, finding
    assert worker.run(CASE, subject(rogues["rogue"])).judged(CASE) is Judgement.UNMET


@pytest.mark.parametrize(
    ("module", "deed", "told"),
    [
        ("bare", "", "C_GetFunctionList"),
        ("text", "", "is no PKCS#11 module"),
        ("rogue", "table-null", "C_GetFunctionList returned CKR_OK"),
    ],
)
def test_what_is_no_module_is_told_as_such(
    rogues: dict[str, Path], worker: Worker, module: str, deed: str, told: str
) -> None:
    finding = worker.run(CASE, subject(rogues[module], deed))
    assert finding.judged(CASE) is Judgement.UNMET
    assert told in finding.actual


class Rogue(Supply):
    """Hands out a module that hangs."""

    def __init__(self, module: Path) -> None:
        super().__init__(device_of("emulated"))
        self._subject = subject(module, "init-spin")

    def ready(self, case: Case) -> Subject:
        del case
        return self._subject


def test_a_module_that_hangs_is_not_asked_for_ever(
    rogues: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suite, "MOST_HUNG", 2)
    monkeypatch.setattr(suite, "supply_of", lambda _: Rogue(rogues["rogue"]))
    chosen = [replace(all_cases()[f"GP-0{number}"], limit=0.3) for number in (4, 5, 6, 7)]
    monkeypatch.setattr(suite, "chosen", lambda *_: chosen)
    results = suite.run_suite(device_of("emulated"), workers=1)
    judged = [finding.judged(case) for case, finding in results]
    assert judged == [Judgement.CRASHED] * 2 + [Judgement.NOT_RUN] * 2
    assert "2 cases in a row have hung" in results[-1][1].actual
