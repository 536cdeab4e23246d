"""The other side of the key, for tests only: authority and portal, started in one call."""

from __future__ import annotations

import contextlib
from pathlib import Path
from types import TracebackType
from typing import Self

from starlette.types import ASGIApp

from ukey_harness.world import web
from ukey_harness.world.ca.authority import CertificateAuthority
from ukey_harness.world.ca.errors import AuthorityError
from ukey_harness.world.ca.site import create_ca_site
from ukey_harness.world.clock import Clock
from ukey_harness.world.counter import Counter
from ukey_harness.world.errors import WorldError
from ukey_harness.world.portal import (
    PortalSettings,
    add_account,
    close_portal,
    create_portal,
)
from ukey_harness.world.premises import Premises
from ukey_harness.world.units import Unit

CA, PORTAL = "ca", "portal"
_SITES = (CA, PORTAL)


class World:
    """A certificate authority and a reporting portal on loopback, with one clock.

    Made by `start`; as a context manager it stops at the end. Everything in it is for tests
    only (仅供测试): nobody trusts its root, and its keys lie in plain files.
    """

    def __init__(self, premises: Premises) -> None:
        self._closing = contextlib.ExitStack()
        self._closing.callback(premises.leave)
        self._services: dict[str, web.Service] = {}
        self._sites: dict[str, ASGIApp] = {}
        self.clock = Clock()
        try:
            self._open(premises)
        except AuthorityError as error:
            self.stop()
            raise WorldError(str(error)) from error
        except BaseException:
            self.stop()
            raise

    @classmethod
    def start(cls, home: Path | None = None) -> Self:
        """Start a world and return it when it serves; WorldError where it cannot.

        With `home`, state is kept in home/world: authority, accounts, bindings and ports are
        found again by the next start. Without, everything is new and goes with `stop`.
        """
        return cls(Premises.enter(home))

    def _open(self, premises: Premises) -> None:
        kept = premises.ports()
        listeners = {}
        for site in _SITES:
            listeners[site] = web.bind(kept.get(site, 0))
            self._closing.callback(listeners[site].close)
        self._ports = {site: web.port_of(listener) for site, listener in listeners.items()}
        if self._ports != kept:
            premises.keep_ports(self._ports)

        self.ca = CertificateAuthority.open(premises.folder / "ca", self.ca_url, self.clock)
        self._closing.callback(self.ca.close)
        self.counter = Counter(self.ca)
        settings = PortalSettings(
            origin=self.portal_url,
            folder=premises.folder / "portal",
            clock=self.clock,
            trust_roots=(self.ca.root,),
            intermediates=(self.ca.issuing,),
            authority=self.ca_url,
        )
        self.portal = create_portal(settings)
        self._closing.callback(close_portal, self.portal)
        ca_site = web.OwnHost(create_ca_site(self.ca), self._ports[CA])
        self._sites = {CA: ca_site, PORTAL: self.portal}
        for site, app in self._sites.items():
            self._services[site] = web.Service(site, app, listeners[site])

    def stop(self) -> None:
        """Stop serving and close everything; a second time does nothing."""
        for service in self._services.values():
            service.ask_to_stop()
        for site in tuple(self._services):
            self._services.pop(site).stop()
        self._closing.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def ca_url(self) -> str:
        """The authority's address, without a trailing slash."""
        return f"http://{web.HOST}:{self._ports[CA]}"

    @property
    def portal_url(self) -> str:
        """The portal's address, which is its origin (RFC 6454)."""
        return f"http://{web.HOST}:{self._ports[PORTAL]}"

    @property
    def cmp_url(self) -> str:
        """Where certificates are renewed (RFC 9810)."""
        return f"{self.ca_url}/cmp"

    @property
    def tsa_url(self) -> str:
        """Where timestamps are had (RFC 3161)."""
        return f"{self.ca_url}/tsa"

    @property
    def ocsp_url(self) -> str:
        """Where the state of the units' certificates is asked (RFC 6960)."""
        return f"{self.ca_url}/ocsp"

    @property
    def crl_url(self) -> str:
        """Where the revocation list of the units' certificates lies (RFC 5280 §5)."""
        return f"{self.ca_url}/crl/issuing.crl"

    def addresses(self) -> dict[str, str]:
        """Return all addresses by name, to be printed."""
        return {
            "portal": self.portal_url,
            "ca": self.ca_url,
            "cmp": self.cmp_url,
            "tsa": self.tsa_url,
            "ocsp": self.ocsp_url,
            "crl": self.crl_url,
            "root certificate": f"{self.ca_url}/certs/root.crt",
        }

    def add_account(self, user: str, password: str, unit: Unit) -> None:
        """Give the portal an old account (user and password) of the unit."""
        add_account(self.portal, user, password, unit)

    def take_down(self, site: str) -> None:
        """Take "ca" or "portal" off the network, as if it could not be reached."""
        self._service(site).stop()
        del self._services[site]

    def bring_up(self, site: str) -> None:
        """Serve "ca" or "portal" again, at its address."""
        if site in self._services or site not in self._sites:
            raise WorldError(f"{site!r} is not a site that was taken down")
        self._services[site] = web.Service(site, self._sites[site], web.bind(self._ports[site]))

    def _service(self, site: str) -> web.Service:
        try:
            return self._services[site]
        except KeyError:
            raise WorldError(
                f"{site!r} is not a site that serves: {', '.join(self._services) or 'none does'}"
            ) from None


def serve_world(home: Path) -> World:
    """Start the world whose state lies in `home`, and return it; its user has to stop it."""
    return World.start(home)
