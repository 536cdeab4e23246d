"""Measure the emulated key beside SoftHSM2, as a card beside pcscd, and print the table.

Each side has a process of its own; the sides take turns, so that both meet the same machine. What
is printed is the median of the rounds. Nothing is asserted: a bench tells, it does not judge.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from cards import card_sides
from many import figures
from one_call import Share, shares
from sides import Sides, Worker, sides

from ukey_emulator.remote import RackProcess

UKEY = Path(sys.executable).with_name("ukey")
PAIRED = (
    ("rsa", "RSA-2048 signature", 1.5),
    ("p256", "P-256 signature", 1.2),
    ("find", "find one of 2,000 by label", 50),
    ("create", "create one among 2,000", 50),
    ("attribute", "read an attribute", 1.5),
    ("session", "open and close a session", None),
    ("random", "32 random bytes", None),
    ("digest", "SHA-256 of 1 KiB", None),
    ("aes", "AES-CBC of 1 KiB", None),
)
CROWD, FEW, MANY = 2_000, 100, 10_000
IDLE = 100  # keys that are plugged in and not used


@dataclass(frozen=True)
class Row:
    """A line of the table; `ratio` is ukeylab to SoftHSM2, None where there is no such side.

    `mark` is what the ratio, or the value where there is none, is measured by; "" for none.
    """

    what: str
    ukeylab: float
    softhsm2: float | None
    ratio: float | None
    unit: str
    mark: str
    met: bool | None


def rated(what: str, us: float, them: float, least: float | None) -> Row:
    """Give the row of two rates."""
    ratio = us / them
    mark = "" if least is None else f">= {least:g}"
    return Row(what, us, them, ratio, "/s", mark, None if least is None else ratio >= least)


def alone(what: str, value: float, unit: str, most: float) -> Row:
    """Give the row of a value that has no counterpart."""
    return Row(what, value, None, None, unit, f"<= {most:g} {unit}", value <= most)


def compare(
    name: str, ours: Worker, theirs: Worker, rounds: int, seconds: float
) -> tuple[float, float]:
    """Measure both sides in turn, after one round that does not count; give the medians."""
    pairs = []
    for number in range(rounds + 1):
        order = (ours, theirs) if number % 2 else (theirs, ours)
        found = {side: side.measure(name, seconds=seconds) for side in order}
        pairs.append((found[ours], found[theirs]))
    left, right = zip(*pairs[1:], strict=True)
    return statistics.median(left), statistics.median(right)


def work(there: Sides, rounds: int, seconds: float) -> Iterator[Row]:
    """Measure a key's work on both sides."""
    for each in (there.ours, there.theirs):
        each.measure("fill", count=FEW)
    few = there.ours.measure("find", seconds=seconds)
    for each in (there.ours, there.theirs):
        each.measure("fill", count=CROWD)
    for name, what, least in PAIRED:
        # Objects that are created stay: not too many, or it is no longer one among 2,000.
        length = min(seconds, 0.02) if name == "create" else seconds
        yield rated(what, *compare(name, there.ours, there.theirs, rounds, length), least)
    us, them = compare("fresh", there.ours, there.theirs, 3 * rounds, 0)
    ratio = us / them
    what = "fresh key, ready to sign"
    yield Row(what, us * 1000, them * 1000, ratio, "ms", "<= 0.1", ratio <= 0.1)
    single = statistics.median(there.ours.measure("rsa", seconds=seconds) for _ in range(rounds))
    together = statistics.median(in_parallel(there, rounds, seconds))
    what = "RSA-2048, 4 processes"
    yield Row(
        what, together, None, together / single, "/s", ">= 1.8 of one", together >= 1.8 * single
    )
    there.ours.measure("fill", count=MANY)
    many = there.ours.measure("find", seconds=seconds)
    yield alone("find: 10,000 objects to 100", few / many, "x", 2)


def in_parallel(there: Sides, rounds: int, seconds: float) -> Iterator[float]:
    """Give how many signatures a second four programs make together on one key."""
    with there.joined(4) as programs:
        for _ in range(rounds):
            for each in programs:
                each.ask("rsa", seconds=seconds)
            yield sum(float(each.take()) for each in programs)


def memory() -> Iterator[Row]:
    """Measure the memory of a rack with one key, and with a hundred idle ones more."""
    with RackProcess.start() as rack, rack.remote() as remote:
        remote.new_key(label="first")
        first = resident(rack.pid)
        yield alone("rack with one key", first / 1024, "MiB", 60)
        for number in range(IDLE):
            remote.new_key(label=f"idle {number}")
        yield alone("each idle key more", (resident(rack.pid) - first) / IDLE, "KiB", 200)


def resident(pid: int) -> int:
    """Give the memory that a process has in use, in KiB."""
    status = Path(f"/proc/{pid}/status").read_text("ascii")
    return int(status.split("VmRSS:")[1].split()[0])


def cards(rounds: int) -> Iterator[Row]:
    """Measure keys as cards, beside a pcscd with vpcd."""
    with card_sides() as (ours, theirs):
        found = []
        for side in (ours, theirs):
            taken = [side.insertion()]
            for _ in range(rounds // 2):
                side.remove()
                taken.append(side.insertion())
            found.append(statistics.median(taken) / 1000)
        us, them = found
        yield Row("card seen, beside pcscd", us, them, us / them, "ms", "<= 2 ms", us <= 2)
        pairs = [(ours.round_trip(), theirs.round_trip()) for _ in range(rounds)]
        us, them = (statistics.median(side) for side in zip(*pairs, strict=True))
        ratio = us / them
        yield Row("APDU, beside pcscd", us, them, ratio, "us", "<= 0.5", ratio <= 0.5)


def startup(rounds: int, *words: str) -> float:
    """Give the median time that `ukey WORDS` takes, after one run that does not count."""
    taken = []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        subprocess.run([UKEY, *words], check=True, stdout=subprocess.DEVNULL, timeout=60)
        taken.append(time.perf_counter() - start)
    return statistics.median(taken[1:])


def measure(rounds: int, seconds: float) -> Iterator[Row]:
    """Measure everything."""
    with sides() as there:
        yield from work(there, rounds, seconds)
    yield from cards(rounds)
    yield from memory()
    for figure in figures():
        yield alone(figure.what, figure.value, figure.unit, figure.most)
    for words, most in ((("run", "--", "true"), 500), (("--help",), 200)):
        yield alone(f"ukey {' '.join(words)}", startup(rounds, *words) * 1000, "ms", most)


def table(rows: list[Row]) -> str:
    """Lay the rows out as a Markdown table, which reads well in a terminal too."""
    head = ("medians", "ukeylab", "SoftHSM2", "ratio", "mark", "met")
    lines = [
        "| {:<27} | {:>13} | {:>11} | {:>6} | {:>13} | {:<3} |".format(*head),
        "|" + "|".join(f"{'-' * (width - 1)}:" for width in (29, 15, 13, 8, 15, 5)) + "|",
    ]
    for row in rows:
        theirs = "" if row.softhsm2 is None else f"{row.softhsm2:,.1f} {row.unit}"
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
        met = {None: "", True: "yes", False: "no"}[row.met]
        lines.append(
            f"| {row.what:<27} | {f'{row.ukeylab:,.1f} {row.unit}':>13} | {theirs:>11} "
            f"| {ratio:>6} | {row.mark:>13} | {met:<3} |"
        )
    return "\n".join(lines)


def parts(title: str, found: list[Share]) -> str:
    """Lay out where the time of a call goes."""
    whole = sum(share.microseconds for share in found)
    lines = [f"{title}: {whole:.1f} us"]
    lines += [
        f"  {share.microseconds:6.1f} us  {share.microseconds / whole:4.0%}  {share.what}"
        for share in found
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure, print, and leave the figures in out/bench/bench.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="rounds of each measure [7]")
    parser.add_argument("--seconds", type=float, default=0.5, help="length of a round [0.5]")
    asked = parser.parse_args()
    rows = list(measure(asked.rounds, asked.seconds))
    print(table(rows))
    profiles = {title: list(found) for title, found in shares(asked.rounds)}
    for title, found in profiles.items():
        print("\n" + parts(title, found))
    out = Path("out/bench")
    out.mkdir(parents=True, exist_ok=True)
    figures = {
        "rows": [asdict(row) for row in rows],
        "profiles": {title: [asdict(each) for each in found] for title, found in profiles.items()},
    }
    out.joinpath("bench.json").write_text(json.dumps(figures, ensure_ascii=False, indent=2) + "\n")


if __name__ == "__main__":
    main()
