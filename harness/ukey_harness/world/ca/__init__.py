"""The certificate authority (for tests only): issuing, renewal, revocation, and its services."""

from ukey_harness.world.ca.authority import CertificateAuthority
from ukey_harness.world.ca.errors import AuthorityError

__all__ = ["AuthorityError", "CertificateAuthority"]
