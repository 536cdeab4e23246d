"""A suite of cases as a part of a certification run: into its journal, and shown as it goes."""

from collections.abc import Callable, Iterable
from pathlib import Path

from ukey_harness.cases.case import Case
from ukey_harness.cases.catalogue import PKCS11, chosen
from ukey_harness.cases.finding import Finding
from ukey_harness.cases.running.recording import CaseJournal
from ukey_harness.cases.running.suite import run_suite
from ukey_harness.device.opening import device_of
from ukey_harness.verdicts.blank import Blank
from ukey_harness.verdicts.journal import Journal
from ukey_harness.verdicts.record import ScenarioRecord

Show = Callable[[ScenarioRecord], None]


def conduct_cases(
    device: str,
    parts: Path,
    names: Iterable[str] = (),
    suite: str = PKCS11,
    show: Show | None = None,
) -> bool:
    """Put the cases to a device (a shipped one's name or a file's path); True when interrupted.

    parts: the folder of the run's journals; show gets each entry as it is written. DeviceError and
    DeviceFileError when there is no such device, UnknownCase when there is no such case.
    """
    cases = chosen(names, suite)
    journal = Journal(parts, suite)
    try:
        with device_of(device) as opened:
            journal.device(opened.record())
            taking = CaseJournal(journal, Blank([opened.pin, opened.so_pin]))
            taking.plan(cases)

            def take(case: Case, finding: Finding) -> None:
                entry = taking.take(case, finding)
                if show is not None:
                    show(entry)

            try:
                run_suite(opened, suite=suite, names=names, progress=take)
            except KeyboardInterrupt:
                return True
    finally:
        journal.close()
    return False
