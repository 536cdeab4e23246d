"""The commands of the control port, an entry for each; CONTROL.md tells of them, in this order."""

from collections.abc import Callable

from .arguments import Flag, Number, Text
from .events import Events
from .faults import RackFaults
from .keyring import Keyring
from .pads import Pads
from .requests import Command, numbered
from .status import StatusInfo
from .trace import Trace
from .tracing import Tracing

# What each of these is in all detail, whoever carries the command out says.
_KEY = Text(64, required=True)
_SNAPSHOT = Text(80, required=True)
_NEW_KEY = Text(64, null=True)
_NEW_SNAPSHOT = Text(80, null=True)
_LABEL = Text(32, null=True)
_PIN = Text(64)
_SLOT = Number(0, 65535)


def commands(
    keys: Keyring,
    pads: Pads,
    *,
    faults: RackFaults,
    trace: Trace,
    tracing: Tracing,
    events: Events,
    status: Callable[[], StatusInfo],
) -> dict[str, Command]:
    """Give what a rack can be told: by its name what carries it out, and its arguments.

    To add a command: an entry here, a row in CONTROL.md, a method of Remote, an option or command
    in the folder `cli`. What it gives may be anything that JSON holds, or a dataclass; to refuse it
    raises RackError with one of the codes of CONTROL.md.
    """
    return {
        "key.list": Command(keys.list),
        "key.new": Command(
            keys.new,
            {
                "name": _NEW_KEY,
                "label": _LABEL,
                "pin": _PIN,
                "so_pin": _PIN,
                "tries": Number(1, 255),
                "initialized": Flag(),
                "profile": Text(4096),
            },
        ),
        "key.new_from": Command(
            keys.new_from, {"snapshot": _SNAPSHOT, "name": _NEW_KEY, "label": _LABEL}
        ),
        "key.plug": Command(keys.plug, {"name": _KEY, "slot": _SLOT}),
        "key.unplug": Command(keys.unplug, {"name": _KEY}),
        "key.snapshot": Command(keys.snapshot, {"name": _KEY, "snapshot": _NEW_SNAPSHOT}),
        "key.rewind": Command(keys.rewind, {"name": _KEY, "snapshot": _NEW_SNAPSHOT}),
        "key.reset": Command(keys.reset, {"name": _KEY}),
        "key.remove": Command(keys.remove, {"name": _KEY}),
        "pad.enter": Command(pads.enter, {"name": _KEY, "pin": Text(255, required=True)}),
        "pad.press": Command(pads.press, {"name": _KEY, "button": Text(16, required=True)}),
        "pad.show": Command(pads.show, {"name": _KEY}),
        **faults.commands(),
        "snapshot.list": Command(keys.snapshots),
        "snapshot.remove": Command(keys.remove_snapshot, {"name": _SNAPSHOT}),
        "rack.status": Command(status),
        **numbered("trace", trace.since),
        "trace.exact": Command(tracing.exactly, {"exact": Flag(required=True)}),
        "trace.level": Command(tracing.level, {"level": Text(16)}),
        **numbered("events", events.since),
    }
