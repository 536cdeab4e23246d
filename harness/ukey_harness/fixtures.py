"""What the pytest fixtures hand out."""

import socket
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Self
from urllib.parse import quote, urlsplit

from ukey_emulator.remote import Remote

if TYPE_CHECKING:
    from ukey_harness.world import World

USER_PIN = "123456"
SO_PIN = "12345678"
CLOCK_TOLERANCE = timedelta(seconds=3)


@dataclass(frozen=True)
class Key:
    """A key in the rack of this process.

    label, serial, slot: as PKCS#11 shows them; pin and so_pin: its first PINs; uri: its PKCS#11
    URI (RFC 7512); module: the PKCS#11 module's path; home: the rack's folder (UKEY_HOME).
    """

    name: str
    label: str
    serial: str
    slot: int
    module: str
    home: Path
    remote: Remote
    # Not in the repr, which stands in the output of every test that fails.
    pin: str = field(default=USER_PIN, repr=False)
    so_pin: str = field(default=SO_PIN, repr=False)

    @classmethod
    def fresh(cls, remote: Remote, module: str, home: Path) -> Self:
        """Make a new key and plug it in."""
        made = remote.new_key(pin=USER_PIN, so_pin=SO_PIN)
        return cls(made.name, made.label, made.serial, made.slot, module, home, remote)

    @property
    def uri(self) -> str:
        """The key as a PKCS#11 URI."""
        return f"pkcs11:token={quote(self.label)};serial={quote(self.serial)}"

    def plug(self) -> None:
        """Plug the key in."""
        self.remote.plug(self.name)

    def unplug(self) -> None:
        """Take the key out."""
        self.remote.unplug(self.name)

    def snapshot(self, name: str | None = None) -> str:
        """Copy the key as it is now; gives the snapshot's name. Its end is that of the key."""
        return self.remote.snapshot(self.name, name).name

    def rewind(self, snapshot: str | None = None) -> None:
        """Put the key back into a snapshot's state, its newest if none is given.

        For programs it is a pull and a plug.
        """
        self.remote.rewind(self.name, snapshot)

    def remove(self) -> None:
        """Delete the key and its snapshots."""
        self.remote.remove(self.name)
        for snapshot in self.remote.snapshots():
            if snapshot.serial == self.serial:
                self.remote.remove_snapshot(snapshot.name)


def as_new(world: "World") -> bool:
    """Tell whether the next test can have this world: right time, both services there."""
    if abs(world.clock.now() - datetime.now(UTC)) > CLOCK_TOLERANCE:
        return False
    for url in (world.portal_url, world.ca_url):
        parts = urlsplit(url)
        try:
            socket.create_connection((parts.hostname, parts.port), 2).close()
        except OSError:
            return False
    return True
