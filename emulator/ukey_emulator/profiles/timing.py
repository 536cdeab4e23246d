"""How long operations of a key take: the most fitting of a profile's timings."""

from collections.abc import Iterable

from .identity import Timing


def seconds_of(
    timings: Iterable[Timing],
    what: str | int,
    mechanism: int | None = None,
    bits: int | None = None,
) -> float:
    """Give the seconds for a function or an APDU's INS, with the mechanism and size of its key.

    The timing that names most of them holds; none is no time. What ends an operation of many parts
    takes as long as the operation in one part, unless it has a timing of its own.
    """
    best = max(
        (each for each in timings if each.what == what and _fits(each, mechanism, bits)),
        key=lambda each: (each.mechanism is not None, each.bits is not None),
        default=None,
    )
    if best is not None:
        return best.seconds
    if isinstance(what, str) and what.endswith("Final"):
        return seconds_of(timings, what.removesuffix("Final"), mechanism, bits)
    return 0.0


def _fits(timing: Timing, mechanism: int | None, bits: int | None) -> bool:
    return timing.mechanism in (None, mechanism) and timing.bits in (None, bits)
