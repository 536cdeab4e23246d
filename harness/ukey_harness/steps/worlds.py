"""Worlds for scenario after scenario: one serves many, until a scenario spoils it."""

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ukey_harness.world import World
    from ukey_harness.world.units import Unit


class WorldPool:
    """At most one running world; each unit is given out once."""

    def __init__(self) -> None:
        self._world: World | None = None
        self._folder: Path | None = None
        self._spoilt = False
        self._units = 0

    @property
    def folder(self) -> Path:
        """The home of the world that runs."""
        self.current()
        if self._folder is None:
            raise RuntimeError("a world runs without a folder")
        return self._folder

    def current(self) -> "World":
        """Return the world that runs, a new one when there is none."""
        if self._world is None:
            from ukey_harness.world import World  # noqa: PLC0415 - needs the extra `world`

            self._folder = Path(tempfile.mkdtemp(prefix="ukey-world-"))
            self._world = World.start(self._folder)
        return self._world

    def spoil(self) -> None:
        """Say that the next scenario must have a new world."""
        self._spoilt = True

    def next_unit(self) -> "Unit":
        """Return a unit that nobody has had."""
        from ukey_harness.world.units import Unit  # noqa: PLC0415 - needs the extra `world`

        unit = Unit.example(self._units)
        self._units += 1
        return unit

    def sweep(self) -> None:
        """Stop a world that was spoilt; to be called between two scenarios."""
        if self._spoilt:
            self.close()

    def close(self) -> None:
        """Stop the world."""
        if self._world is not None:
            self._world.stop()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._world = self._folder = None
        self._spoilt = False
