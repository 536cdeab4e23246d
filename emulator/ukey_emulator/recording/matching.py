"""Whether a call is the one that was recorded."""

from collections.abc import Sequence
from typing import Any

from ukey_emulator.cryptoki.wire import Attribute, Function, Mechanism, Misfit

_SEED = "C_SeedRandom"
_LEFT_OUT = {"PIN"}
_TEMPLATES = {"TEMPLATE"}
_MECHANISMS = {"MECHANISM", "WRAP_MECHANISM", "SEAL_MECHANISM", "OPEN_MECHANISM"}


def is_same(function: Function, recorded: Sequence[Any], got: Sequence[Any]) -> bool:
    """Tell whether these arguments are those of the recording.

    What the recording leaves out agrees with anything: a PIN with any PIN, a value that is told
    by its length with each that is as long, a parameter that is not told with any. So does a seed
    with each that is as long: it is meant to be another one each time.
    """
    if function.name == _SEED:
        (_, one), (_, other) = recorded, got
        return one is not None and other is not None and len(one) == len(other)
    return all(
        value == own or _agrees(argument.kind, value, own)
        for argument, value, own in zip(function.arguments, recorded, got, strict=True)
    )


def _agrees(kind: str, recorded: Any, got: Any) -> bool:  # noqa: ANN401 - values of the wire
    if recorded is None or got is None:
        return False
    if kind in _LEFT_OUT:
        return bool(recorded == b"")
    if kind in _TEMPLATES:
        return _same_template(recorded, got)
    if kind in _MECHANISMS:
        return _same_mechanism(recorded, got)
    return False


def _same_template(recorded: Sequence[Attribute], got: Sequence[Attribute]) -> bool:
    return len(recorded) == len(got) and all(
        (one.type, one.length) == (other.type, other.length)
        and (one.value is None or one.value == other.value)
        for one, other in zip(recorded, got, strict=True)
    )


def _same_mechanism(recorded: Mechanism, got: Mechanism) -> bool:
    return recorded.type == got.type and isinstance(recorded.parameter, Misfit)
