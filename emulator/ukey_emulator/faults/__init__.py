"""Fault plans: named, counted, deterministic."""

from .caller import Caller
from .fault import Fault, Meeting, What, Where, turned
from .plan import Dropped, FaultInfo, FaultPlan
from .reading import FaultError, read, read_plan
from .words import STEPS, FunctionWords, Words

__all__ = [
    "STEPS",
    "Caller",
    "Dropped",
    "Fault",
    "FaultError",
    "FaultInfo",
    "FaultPlan",
    "FunctionWords",
    "Meeting",
    "What",
    "Where",
    "Words",
    "read",
    "read_plan",
    "turned",
]
