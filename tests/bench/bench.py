"""Measure the emulated key beside SoftHSM2, through python-pkcs11, and print the table.

Each side has a process of its own; the sides take turns, so that both meet the same machine. What
is printed is the median of the rounds. Nothing is asserted: a bench tells, it does not judge.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from ukey_emulator import module_path
from ukey_emulator.remote import RackProcess

HERE = Path(__file__).parent
UKEY = Path(sys.executable).with_name("ukey")
SOFTHSM = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
)


@dataclass(frozen=True)
class Row:
    """A line of the table; `ratio` is ukeylab to SoftHSM2, None where there is no such side."""

    what: str
    ukeylab: float
    softhsm2: float | None
    ratio: float | None
    unit: str
    mark: str
    met: bool


class Worker:
    """One side: a child process that measures what it is told."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def measure(self, name: str, seconds: float = 0) -> float:
        """Have it measured; RuntimeError if the child ended."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None  # for the type checker: both are pipes
        assert stdout is not None
        stdin.write(json.dumps({"measure": name, "seconds": seconds}) + "\n")
        stdin.flush()
        line = stdout.readline()
        if not line:
            raise RuntimeError(f"a side of the bench ended while it measured {name}; see above")
        return float(json.loads(line))


@contextmanager
def worker(side: str, module: str, environment: dict[str, str]) -> Iterator[Worker]:
    """Start one side, and end it."""
    process = subprocess.Popen(
        [sys.executable, str(HERE / "worker.py"), side, module],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )
    try:
        yield Worker(process)
    finally:
        if process.stdin:
            process.stdin.close()
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(timeout=30)


@contextmanager
def sides() -> Iterator[tuple[Worker, Worker]]:
    """Start both sides, each with a store of its own."""
    softhsm = next((path for path in SOFTHSM if Path(path).exists()), None)
    if softhsm is None:
        sys.exit("bench: there is no SoftHSM2 here; ci/bootstrap installs it")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ukey-bench-")))
        (folder / "tokens").mkdir()
        configuration = folder / "softhsm2.conf"
        configuration.write_text(f"directories.tokendir = {folder / 'tokens'}\nlog.level = ERROR\n")
        rack = stack.enter_context(RackProcess.start())
        ours = {"UKEY_HOME": str(rack.home)}
        theirs = {"SOFTHSM2_CONF": str(configuration)}
        yield (
            stack.enter_context(worker("ukey", module_path(), ours)),
            stack.enter_context(worker("softhsm2", softhsm, theirs)),
        )


def compare(
    name: str, ours: Worker, theirs: Worker, rounds: int, seconds: float
) -> tuple[float, float]:
    """Measure both sides in turn, after one round that does not count; give the medians."""
    pairs = []
    for number in range(rounds + 1):
        order = (ours, theirs) if number % 2 else (theirs, ours)
        found = {side: side.measure(name, seconds) for side in order}
        pairs.append((found[ours], found[theirs]))
    left, right = zip(*pairs[1:], strict=True)
    return statistics.median(left), statistics.median(right)


def startup(rounds: int, *words: str) -> float:
    """Give the median time that `ukey WORDS` takes, after one run that does not count."""
    taken = []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        subprocess.run([UKEY, *words], check=True, stdout=subprocess.DEVNULL, timeout=60)
        taken.append(time.perf_counter() - start)
    return statistics.median(taken[1:])


def measure(rounds: int, seconds: float) -> list[Row]:
    """Measure everything."""
    rows = []
    with sides() as (ours, theirs):
        for name, what, mark in (("rsa", "RSA-2048 signing", 1.3), ("p256", "P-256 signing", 0.8)):
            us, them = compare(name, ours, theirs, rounds, seconds)
            rows.append(Row(what, us, them, us / them, "/s", f">= {mark}", met=us / them >= mark))
        us, them = compare("fresh", ours, theirs, 3 * rounds, seconds)  # short, and of the disk
        us, them = us * 1000, them * 1000
        rows.append(
            Row(
                "fresh key, ready to sign",
                us,
                them,
                us / them,
                "ms",
                "<= 0.1",
                met=us / them <= 0.1,
            )
        )
    for words, mark in ((("run", "--", "true"), 0.5), (("--help",), 0.2)):
        took = startup(rounds, *words)
        name = f"ukey {' '.join(words)}"
        rows.append(
            Row(name, took * 1000, None, None, "ms", f"< {mark * 1000:.0f} ms", met=took < mark)
        )
    return rows


def table(rows: list[Row]) -> str:
    """Lay the rows out as a Markdown table, which reads well in a terminal too."""
    head = ("medians", "ukeylab", "SoftHSM2", "ratio", "mark", "met")
    lines = [
        "| {:<25} | {:>11} | {:>11} | {:>6} | {:>8} | {} |".format(*head),
        "|---------------------------|------------:|------------:|-------:|---------:|-----|",
    ]
    for row in rows:
        theirs = "" if row.softhsm2 is None else f"{row.softhsm2:.1f} {row.unit}"
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
        lines.append(
            f"| {row.what:<25} | {f'{row.ukeylab:.1f} {row.unit}':>11} | {theirs:>11} | {ratio:>6} "
            f"| {row.mark:>8} | {'yes' if row.met else 'no':<3} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure, print, and leave the figures in out/bench/bench.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="rounds of each measure [7]")
    parser.add_argument("--seconds", type=float, default=1.0, help="length of a signing round [1]")
    asked = parser.parse_args()
    rows = measure(asked.rounds, asked.seconds)
    print(table(rows))
    out = Path("out/bench")
    out.mkdir(parents=True, exist_ok=True)
    out.joinpath("bench.json").write_text(
        json.dumps([asdict(row) for row in rows], ensure_ascii=False, indent=2) + "\n"
    )


if __name__ == "__main__":
    main()
