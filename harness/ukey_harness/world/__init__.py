"""The other side, run for tests: the certificate authority, the portal and their one clock.

For tests only (仅供测试): nothing that this world signs means anything outside of it.
"""

from ukey_harness.world.clock import Clock
from ukey_harness.world.units import Unit

try:
    from ukey_harness.world.world import World, serve_world
except ModuleNotFoundError as error:
    if (error.name or "").startswith("ukey"):
        raise
    raise ModuleNotFoundError(
        f"the world needs {error.name}, which comes with an extra: pip install 'ukeylab[world]'",
        name=error.name,
    ) from error

__all__ = ["Clock", "Unit", "World", "serve_world"]
