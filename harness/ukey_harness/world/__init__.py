"""The other side, run for tests: the certificate authority, the portal and their one clock.

For tests only (仅供测试): nothing that this world signs means anything outside of it.
"""

from ukey_harness.world.clock import Clock
from ukey_harness.world.units import Unit
from ukey_harness.world.world import World, serve_world

__all__ = ["Clock", "Unit", "World", "serve_world"]
