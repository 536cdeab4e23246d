"""Where the holder sits: programs run there as a person would start them."""

from ukey_harness.steps.workplace.desk import Desk, DeskError, Outcome, Program

__all__ = ["Desk", "DeskError", "Outcome", "Program"]
