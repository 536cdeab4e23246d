"""The control port from the other side: drive a rack, or run one of your own."""

from .process import RackProcess
from .remote import Remote, RemoteError
from .told import (
    Call,
    Event,
    FaultInfo,
    KeyInfo,
    PadInfo,
    Pin,
    RackInfo,
    SlotStatus,
    SnapshotInfo,
    Status,
    Use,
)

__all__ = [
    "Call",
    "Event",
    "FaultInfo",
    "KeyInfo",
    "PadInfo",
    "Pin",
    "RackInfo",
    "RackProcess",
    "Remote",
    "RemoteError",
    "SlotStatus",
    "SnapshotInfo",
    "Status",
    "Use",
]
