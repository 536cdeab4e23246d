"""The functions of the model by their names, without C_."""

from collections.abc import Callable
from typing import Any

from . import keys, messages, objects, operations, sessions, tokens, verification
from .allowed import Allowed
from .state import Application, World

FUNCTIONS: dict[str, Callable[..., Allowed]] = {
    **tokens.CHAPTER,
    **sessions.CHAPTER,
    **objects.CHAPTER,
    **operations.CHAPTER,
    **verification.CHAPTER,
    **messages.CHAPTER,
    **keys.CHAPTER,
}
UNSUPPORTED = "FUNCTION_NOT_SUPPORTED"


def allowed(world: World, app: Application, function: str, arguments: tuple[Any, ...]) -> Allowed:
    """Return what a call may answer; a function that the token does not have never succeeds."""
    wanted = FUNCTIONS[function](world, app, *arguments)
    if function in world.traits.without:
        return Allowed(wanted.faults | {UNSUPPORTED})
    return wanted
