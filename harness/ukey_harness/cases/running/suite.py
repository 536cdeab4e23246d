"""A run of cases against a device: `run_suite`."""

import queue
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from ukey_harness.cases.case import Case
from ukey_harness.cases.catalogue import PKCS11, chosen
from ukey_harness.cases.finding import Finding
from ukey_harness.cases.running.supply import Barred, Supply, supply_of
from ukey_harness.cases.running.worker import Worker
from ukey_harness.device.examiner import DeviceError
from ukey_harness.device.opening import device_of
from ukey_harness.device.port import Device

WORKERS = 2
MOST_HUNG = 8  # cases one after the other, after which a module is not asked any more

Progress = Callable[[Case, Finding], None]


def run_suite(
    device: Device,
    *,
    suite: str = PKCS11,
    place: Path | None = None,
    names: Iterable[str] = (),
    workers: int = WORKERS,
    progress: Progress | None = None,
) -> list[tuple[Case, Finding]]:
    """Put the cases of a suite to an open device; return each with what was found, in their order.

    place: where the cases of the suite oasis are; names: ids or groups ("GP-01", "EN"), all when
    empty. A device that can be made anew is run by
    so many workers, each with a device of its own of the same kind; a real key by one.
    progress is called after each case, from the thread that ran it.
    """
    cases = chosen(names, suite, place)
    run = _Run(cases, progress)
    with ExitStack() as stack:
        devices = [device]
        if device.renewable:
            devices += [stack.enter_context(_Twin(device)) for _ in range(1, workers)]
        threads = [
            threading.Thread(
                target=run.work, args=(supply_of(each), f"w{index}"), name=f"cases-{index}"
            )
            for index, each in enumerate(devices)
        ]
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                thread.join()
        except KeyboardInterrupt as interruption:
            run.failures.append(interruption)  # each thread ends after the case that it is in
            for thread in threads:
                thread.join()
    if run.failures:
        raise run.failures[0]
    unreached = "The run ended before it."
    return [(case, run.found.get(case.id) or Finding(case.id, barred=unreached)) for case in cases]


class _Twin:
    """A second device of the same kind, prepared without the looks that the first has had."""

    def __init__(self, device: Device) -> None:
        self._device = device_of(device.file.path)
        self._device.measured = device.measured

    def __enter__(self) -> Device:
        try:
            self._device.start()
            self._device.fresh()
        except BaseException:
            self._device.release()
            raise
        return self._device

    def __exit__(self, *_: object) -> None:
        self._device.release()


class _Run:
    """The cases that wait, and what was found: threads take from the one and add to the other."""

    def __init__(self, cases: Sequence[Case], progress: Progress | None) -> None:
        self.waiting: queue.SimpleQueue[Case] = queue.SimpleQueue()
        for case in cases:
            self.waiting.put(case)
        self.found: dict[str, Finding] = {}
        self.failures: list[BaseException] = []
        self._progress = progress
        self._hung = 0

    def work(self, supply: Supply, name: str) -> None:
        """Take cases until there are no more."""
        try:
            with Worker() as worker:
                while not self.failures:
                    case = self.waiting.get_nowait()
                    if self._hung < MOST_HUNG:
                        finding = one(case, supply, worker)
                        self._hung = self._hung + 1 if finding.hung else 0
                    else:
                        finding = Finding(case.id, barred=f"{MOST_HUNG} cases in a row have hung.")
                    finding.worker = name
                    self.found[case.id] = finding
                    if self._progress is not None:
                        self._progress(case, finding)
        except queue.Empty:
            return
        except BaseException as error:  # noqa: BLE001 - the thread that waits raises it
            self.failures.append(error)


def one(case: Case, supply: Supply, worker: Worker) -> Finding:
    """Run one case on a token of the supply."""
    started = datetime.now(UTC).isoformat(timespec="milliseconds")
    try:
        subject = supply.ready(case)
    except Barred as reason:
        finding = Finding(case.id, barred=str(reason))
    except DeviceError as error:
        finding = Finding(case.id, fault=f"no token for the case: {error}")
    else:
        finding = worker.run(case, subject, supply.act)
        try:
            supply.after(case)
        except DeviceError as error:
            finding.notes.append(f"the token could not be set right after the case: {error}")
    finding.started = started
    return finding


def unmet(results: Sequence[tuple[Case, Finding]]) -> list[tuple[Case, Finding]]:
    """Return the results that make a run fail."""
    return [(case, finding) for case, finding in results if finding.judged(case).harmful]
