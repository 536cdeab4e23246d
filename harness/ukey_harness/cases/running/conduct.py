"""A suite of cases as a part of a certification run: into its journal, and shown as it goes."""

from collections.abc import Callable, Iterable
from pathlib import Path

from ukey_harness.cases.case import Case
from ukey_harness.cases.catalogue import PKCS11, chosen
from ukey_harness.cases.finding import Finding
from ukey_harness.cases.running.recording import CaseJournal
from ukey_harness.cases.running.suite import run_suite
from ukey_harness.device.examiner import DeviceError
from ukey_harness.device.opening import device_of
from ukey_harness.verdicts.blank import Blank
from ukey_harness.verdicts.journal import Journal
from ukey_harness.verdicts.record import ScenarioRecord

Show = Callable[[ScenarioRecord], None]


def conduct_cases(
    device: str,
    parts: Path,
    names: Iterable[str] = (),
    *,
    suite: str = PKCS11,
    place: Path | None = None,
    show: Show | None = None,
) -> bool:
    """Put the cases to a device (a shipped one's name or a file's path); True when interrupted.

    parts: the folder of the run's journals; place: where the cases of the suite oasis are; show
    gets each entry as it is written. A device that cannot be used breaks the first case, the others
    are not run. UnknownCase: no such case.
    """
    cases = chosen(names, suite, place)
    journal = Journal(parts, suite)
    blank = Blank()
    taking = CaseJournal(journal, blank, suite)

    def take(case: Case, finding: Finding) -> None:
        entry = taking.take(case, finding)
        if show is not None:
            show(entry)

    try:
        taking.plan(cases)
        with device_of(device) as opened:
            blank.add(opened.pin)
            blank.add(opened.so_pin)
            blank.add(opened.management)
            journal.device(opened.record())
            run_suite(opened, suite=suite, place=place, names=names, progress=take)
    except KeyboardInterrupt:
        return True
    except DeviceError as error:
        take(cases[0], Finding(cases[0].id, fault=f"the device could not be used: {error}"))
    finally:
        journal.close()
    return False
