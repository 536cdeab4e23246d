"""One pytest run's record: where it goes, and how the parts of its processes come together."""

import os
import shutil
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ukey_harness.verdicts.journal import Journal, assemble
from ukey_harness.verdicts.pytest_run import recorded, report_folder
from ukey_harness.verdicts.record import Run, State
from ukey_harness.verdicts.store import save
from ukey_harness.verdicts.tool import tool_identity
from ukey_harness.verdicts.verdict import Verdict

# What `ukey certify` tells the pytest that it starts.
RUN_VARIABLE = "UKEY_RUN_ID"
SELECTION_VARIABLE = "UKEY_RUN_SELECTION"
RECORD = "record.json"
KEPT_EVERY = 3.0  # seconds; the journals are always up to date, the record need not be


def new_run(run_id: str | None = None) -> Run:
    """Return the record of a run that begins now."""
    now = datetime.now(UTC)
    name = run_id or f"{now:%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:8]}"
    return Run(id=name, started=now.isoformat(timespec="milliseconds"), tool=tool_identity())


def parts_of(folder: Path, run_id: str) -> Path:
    """Return the folder in which the processes of a run keep their journals."""
    return folder / f".parts-{run_id}"


class RecordedSession:
    """The record of one pytest run, in the process that collects the scenarios or leads others."""

    def __init__(self, folder: Path, run: Run, *, leads: bool) -> None:
        self.folder = folder
        self.run = run
        self.leads = leads
        self.written: Path | None = None
        self._saved = 0.0

    @property
    def parts(self) -> Path:
        """Where the journals are."""
        return parts_of(self.folder, self.run.id)

    def journal(self, worker: str) -> Journal:
        """Return this process's journal."""
        return Journal(self.parts, worker)

    def keep(self) -> None:
        """Write the record as it stands, for whoever looks while the run goes on."""
        if time.monotonic() - self._saved >= KEPT_EVERY:
            save(assemble(self.parts, self.run, "running"), self.folder / RECORD)
            self._saved = time.monotonic()

    def finish(self, write: Callable[[Run, Path], None], *, interrupted: bool) -> None:
        """Have the final record written and remove the journals; only the leading process does."""
        if not self.leads or not self.parts.is_dir():
            return
        state: State = "interrupted" if interrupted else "finished"
        write(assemble(self.parts, self.run, state), self.folder)
        shutil.rmtree(self.parts, ignore_errors=True)
        self.written = self.folder / RECORD

    def summary(self) -> str:
        """Return the counts in one line."""
        counts = ", ".join(f"{self.run.counts[each.value]} {each.value}" for each in Verdict)
        return f"{len(self.run.scenarios)} scenarios: {counts}"


def session_of(config: pytest.Config) -> RecordedSession | None:
    """Return the record of this pytest run, begun on first use; None when it has no folder."""
    found = config.stash.get(recorded, None)
    if found is not None:
        return found
    folder = report_folder(config)
    if folder is None:
        return None
    handed: list[str] | None = getattr(config, "workerinput", {}).get("ukey_run")
    if handed is None:
        run = new_run(os.environ.get(RUN_VARIABLE))
        told = os.environ.get(SELECTION_VARIABLE)
        run.selection = told.split("\n") if told else list(config.invocation_params.args)
    else:
        run = new_run(handed[0])
        run.started = handed[1]
    session = RecordedSession(folder, run, leads=not hasattr(config, "workerinput"))
    config.stash[recorded] = session
    return session
