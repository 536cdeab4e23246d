"""How an authority comes to be: its keys and certificates, made once and found again."""

from __future__ import annotations

from datetime import datetime, timedelta

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, ObjectIdentifier

from ukey_harness.world.ca import profile as profiles
from ukey_harness.world.ca.errors import AuthorityError
from ukey_harness.world.ca.identity import Identity, KeyFolder, new_authority_key, new_service_key
from ukey_harness.world.ca.profile import ISSUING, ROOT, Extensions, Pointers
from ukey_harness.world.ca.register import Register
from ukey_harness.world.ca.signing import Draft, sign, sign_own
from ukey_harness.world.clock import Clock

_SERVICES: dict[str, tuple[str, ObjectIdentifier]] = {
    "ocsp": ("OCSP 应答服务", ExtendedKeyUsageOID.OCSP_SIGNING),
    "tsa": ("时间戳服务", ExtendedKeyUsageOID.TIME_STAMPING),
    "cmp": ("CMP 证书管理服务", profiles.ID_KP_CMC_CA),
}
# The authority is older than the day of its making, so that tests can issue certificates that
# have expired, or turn the clock back.
_AGE = timedelta(days=5 * 365)
_LIFE = timedelta(days=20 * 365)


def found(register: Register, keys: KeyFolder, url: str, clock: Clock) -> dict[str, Identity]:
    """Make a new authority's keys and certificates and store them; return them by role."""
    born = clock.now() - _AGE
    validity = (born, born + _AGE + _LIFE)
    root = _root(validity)
    issuing = _issuing(root, validity, url)
    identities = {ROOT: root, ISSUING: issuing}
    for role in _SERVICES:
        identities[role] = _service(role, issuing, validity, url)

    for role, identity in identities.items():
        keys.store(role, identity.key)
    # An authority without a root is founded anew, so that a break before the last line is safe.
    for role in (*_SERVICES, ISSUING, ROOT):
        register.add(
            identities[role].certificate,
            issuer=ROOT if role in {ISSUING, ROOT} else ISSUING,
            role=role,
            issued_at=clock.now(),
        )
    return identities


def load(register: Register, keys: KeyFolder) -> dict[str, Identity]:
    """Return the stored identities by role; OSError, TypeError or ValueError if damaged."""
    identities = {}
    for role in (ROOT, ISSUING, *_SERVICES):
        entry = register.of_role(role)
        if entry is None:
            raise ValueError(f"the register has no certificate of the role {role}")
        key = keys.load(role)
        if key.public_key() != entry.certificate.public_key():
            raise ValueError(f"the key of the role {role} is not that of its certificate")
        identities[role] = Identity(key, entry.certificate)
    return identities


def pointers(url: str, issuer: str) -> Pointers:
    """Return where the authority at `url` answers about certificates of "root" or "issuing"."""
    return Pointers(
        crl=f"{url}/crl/{issuer}.crl",
        issuer_certificate=f"{url}/certs/{issuer}.crt",
        ocsp=f"{url}/ocsp" if issuer == ISSUING else None,
    )


def check_url(issuing: x509.Certificate, url: str) -> None:
    """Raise AuthorityError unless the issuing CA's certificate names the authority's URL."""
    points = issuing.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    named = points[0].full_name
    expected = pointers(url, ROOT).crl
    if not named or named[0].value != expected:
        raise AuthorityError(
            f"this certificate authority was founded at {named and named[0].value}, its "
            f"certificates say so, and it cannot move to {expected}: remove its folder"
        )


def _root(validity: tuple[datetime, datetime]) -> Identity:
    key = new_authority_key()
    draft = Draft(
        profiles.authority_name("UKEYLAB 测试根CA（仅供测试）"),
        key.public_key(),
        validity,
        [(x509.BasicConstraints(ca=True, path_length=None), True), _authority_usage()],
    )
    return Identity(key, sign_own(draft, key))


def _issuing(root: Identity, validity: tuple[datetime, datetime], url: str) -> Identity:
    key = new_authority_key()
    draft = Draft(
        profiles.authority_name("UKEYLAB 测试CA（仅供测试）"),
        key.public_key(),
        validity,
        [
            (x509.BasicConstraints(ca=True, path_length=0), True),
            _authority_usage(),
            *((value, False) for value in pointers(url, ROOT).extensions()),
        ],
    )
    return Identity(key, sign(draft, root))


def _service(
    role: str, issuing: Identity, validity: tuple[datetime, datetime], url: str
) -> Identity:
    title, usage = _SERVICES[role]
    extensions: Extensions = [
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (profiles.key_usage("digital_signature"), True),
        # A timestamping authority's has to be critical (RFC 3161 §2.3).
        (x509.ExtendedKeyUsage([usage]), usage == ExtendedKeyUsageOID.TIME_STAMPING),
    ]
    if usage == ExtendedKeyUsageOID.OCSP_SIGNING:
        # Nobody can vouch for the one that vouches for all (RFC 6960 §4.2.2.2.1).
        extensions.append((x509.OCSPNoCheck(), False))
    else:
        extensions += [(value, False) for value in pointers(url, ISSUING).extensions()]
    key = new_service_key()
    draft = Draft(
        profiles.authority_name(f"UKEYLAB 测试{title}（仅供测试）"),
        key.public_key(),
        validity,
        extensions,
    )
    return Identity(key, sign(draft, issuing))


def _authority_usage() -> tuple[x509.ExtensionType, bool]:
    return profiles.key_usage("key_cert_sign", "crl_sign"), True
