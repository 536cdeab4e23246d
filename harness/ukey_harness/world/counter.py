"""The authority's counter: a clerk puts pair, certificates and seal on a unit's key.

It works through PKCS#11 (python-pkcs11) on any module whose token has a user PIN. The private
key is made on the token and never leaves it.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
from collections.abc import Iterator
from datetime import datetime
from typing import Final

import pkcs11
from asn1crypto import csr as asn1_csr
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pkcs11 import Attribute, KeyType, MechanismFlag, ObjectClass
from pkcs11.util.ec import encode_named_curve_parameters
from pkcs11.util.x509 import decode_x509_certificate

from ukey_client.errors import HolderError, ModuleUnusable
from ukey_client.token.cryptoki.faults import name_of
from ukey_client.token.cryptoki.module import Module
from ukey_client.token.cryptoki.pairs import key_identifier, read_public_key
from ukey_client.token.cryptoki.signing import sign
from ukey_harness.world.ca.authority import CertificateAuthority
from ukey_harness.world.ca.profile import unit_name
from ukey_harness.world.errors import WorldError
from ukey_harness.world.seal import draw_seal
from ukey_harness.world.units import Unit

SEAL_LABEL: Final = "电子印章"
SEAL_APPLICATION: Final = "ukeylab"

_RSA: Final = {"rsa2048": 2048, "rsa3072": 3072, "rsa4096": 4096}
_EC: Final = {"p256": "secp256r1", "p384": "secp384r1", "p521": "secp521r1"}
KEYS: Final = (*_RSA, *_EC)
"""The kinds of keys that can be had."""

# A request on a curve is signed with the digest of the curve's strength (FIPS 186-5 §6.1.1).
_DIGESTS: Final = {"p384": "sha384", "p521": "sha512"}
_SIGNING: Final = MechanismFlag.SIGN | MechanismFlag.VERIFY
_GUARDED: Final = {
    Attribute.PRIVATE: True,
    Attribute.SENSITIVE: True,
    Attribute.EXTRACTABLE: False,
}
_TEMPORARY_ID_BYTES: Final = 20
# One key at a time: a login or logout counts for the whole program (PKCS#11 v3.2 §5.6.8).
_clerk = threading.Lock()


class CounterError(WorldError):
    """The key cannot be provisioned; the text says why. The key is left as it was."""


class Counter:
    """The counter of an authority."""

    def __init__(self, ca: CertificateAuthority) -> None:
        self._ca = ca

    def provision(
        self,
        module: str | os.PathLike[str],
        *,
        token_label: str,
        pin: str,
        unit: Unit,
        key: str = "rsa2048",
        valid_days: int = 365,
        not_before: datetime | None = None,
    ) -> x509.Certificate:
        """Put a pair, its certificate, the authority's certificates and the seal on a token.

        `module` is the path of a PKCS#11 module, `key` one of KEYS. The pair and its certificate
        share as CKA_ID the SHA-1 of the SubjectPublicKey bits, and as CKA_LABEL the unit's name.
        A seal that lies on the token already is replaced, certificates are added. Returns the
        unit's certificate. CounterError, SealError or AuthorityError if it cannot be done: what
        was written until then is taken off the token again.
        """
        if key not in KEYS:
            raise CounterError(f"{key!r} is not a kind of key: {', '.join(KEYS)} are")
        seal = draw_seal(unit.name, unit.number)
        path = os.fspath(module)
        certificate = None
        with _clerk, _faults(path, token_label), _session(path, token_label, pin) as session:
            desk = _Desk(session)
            try:
                public, private = desk.make_pair(key, unit.name)
                request = _request(public, private, unit, _DIGESTS.get(key, "sha256"), pin)
                certificate = self._ca.issue_from_request(
                    request, unit, days=valid_days, not_before=not_before
                )
                desk.name_pair(public, private, certificate)
                desk.put_certificate(certificate, unit.name)
                for authority in self._ca.chain():
                    desk.put_authority(authority)
                desk.put_seal(seal)
            except BaseException:
                desk.take_back()
                if certificate is not None:
                    # It has reached no key, and its private key is gone.
                    self._ca.revoke(certificate.serial_number, "cessationOfOperation")
                raise
        return certificate


class _Desk:
    """What the clerk does on one token, and can undo."""

    def __init__(self, session: pkcs11.Session) -> None:
        self._session = session
        self._made: list[pkcs11.Object] = []

    def make_pair(self, key: str, label: str) -> tuple[pkcs11.PublicKey, pkcs11.PrivateKey]:
        # The final identifier comes from the public key, which is not yet known.
        id_ = secrets.token_bytes(_TEMPORARY_ID_BYTES)
        if key in _RSA:
            pair = self._session.generate_keypair(
                KeyType.RSA,
                _RSA[key],
                id=id_,
                label=label,
                store=True,
                capabilities=_SIGNING,
                private_template=_GUARDED,
            )
        else:
            curve = {Attribute.EC_PARAMS: encode_named_curve_parameters(_EC[key])}
            domain = self._session.create_domain_parameters(KeyType.EC, curve, local=True)
            pair = domain.generate_keypair(
                id=id_,
                label=label,
                store=True,
                capabilities=_SIGNING,
                private_template=_GUARDED,
            )
        self._made += pair
        return pair

    def name_pair(
        self, public: pkcs11.Object, private: pkcs11.Object, certificate: x509.Certificate
    ) -> None:
        """Give both halves the identifier and the subject of their certificate."""
        for half in (public, private):
            half[Attribute.ID] = _identifier(certificate)
            half[Attribute.SUBJECT] = certificate.subject.public_bytes()

    def put_certificate(self, certificate: x509.Certificate, label: str) -> None:
        template = {
            **decode_x509_certificate(certificate.public_bytes(Encoding.DER)),
            Attribute.ID: _identifier(certificate),
            Attribute.LABEL: label,
            Attribute.TOKEN: True,
            Attribute.PRIVATE: False,
        }
        self._made.append(self._session.create_object(template))

    def put_authority(self, certificate: x509.Certificate) -> None:
        """Put a certificate of the authority on the token, unless it is there."""
        der = certificate.public_bytes(Encoding.DER)
        if not self._find({Attribute.CLASS: ObjectClass.CERTIFICATE, Attribute.VALUE: der}):
            name = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value
            self.put_certificate(certificate, str(name))

    def put_seal(self, picture: bytes) -> None:
        """Put the seal on the token, in the place of an older one."""
        template = {
            Attribute.CLASS: ObjectClass.DATA,
            Attribute.APPLICATION: SEAL_APPLICATION,
            Attribute.LABEL: SEAL_LABEL,
        }
        old = self._find(template)
        seal = {
            **template,
            Attribute.TOKEN: True,
            Attribute.PRIVATE: False,
            Attribute.VALUE: picture,
        }
        self._made.append(self._session.create_object(seal))
        for older in old:
            older.destroy()

    def take_back(self) -> None:
        """Take everything that was written off the token, as far as it still answers."""
        for thing in reversed(self._made):
            with contextlib.suppress(pkcs11.PKCS11Error):
                thing.destroy()

    def _find(self, template: dict[Attribute, object]) -> list[pkcs11.Object]:
        # Read to its end at once: a session has only one search at a time.
        return list(self._session.get_objects(template))


def _identifier(certificate: x509.Certificate) -> bytes:
    return key_identifier(certificate.public_key())


def _request(
    public: pkcs11.PublicKey, private: pkcs11.PrivateKey, unit: Unit, digest: str, pin: str
) -> bytes:
    """Return a PKCS#10 request (RFC 2986) for the pair, signed on the token."""
    key = read_public_key(public)
    info = asn1_csr.CertificationRequestInfo(
        {
            "version": "v1",
            "subject": asn1_csr.Name.load(unit_name(unit).public_bytes()),
            "subject_pk_info": asn1_csr.PublicKeyInfo.load(
                key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
            ),
            "attributes": [],
        }
    )
    kind = "rsa" if public.key_type is KeyType.RSA else "ecdsa"
    request = asn1_csr.CertificationRequest(
        {
            "certification_request_info": info,
            "signature_algorithm": {"algorithm": f"{digest}_{kind}"},
            "signature": sign(private, info.dump(), digest, pin),
        }
    )
    return bytes(request.dump())


@contextlib.contextmanager
def _session(path: str, token_label: str, pin: str) -> Iterator[pkcs11.Session]:
    """Open a read-write session with the user logged in; module and session are let go after."""
    module = Module.acquire(path)
    try:
        token = _token(module, token_label)
        try:
            session = token.open(rw=True, user_pin=pin)
        except pkcs11.UserAlreadyLoggedIn:
            # The login of this program's holder counts for all its sessions (PKCS#11 v3.2 §5.6.8).
            session = token.open(rw=True)
        try:
            yield session
        finally:
            with contextlib.suppress(pkcs11.PKCS11Error):
                session.close()
    finally:
        module.release()


def _token(module: Module, label: str) -> pkcs11.Token:
    seen = []
    for slot in module.library.get_slots(token_present=True):
        with contextlib.suppress(pkcs11.TokenNotPresent, pkcs11.TokenNotRecognised):
            seen.append(slot.get_token())
    found = [token for token in seen if token.label == label]
    if len(found) == 1:
        return found[0]
    labels = ", ".join(repr(token.label) for token in seen) or "none at all"
    raise CounterError(
        f"{len(found) or 'no'} tokens of {module.path} are labelled {label!r}, one is needed; "
        f"there are: {labels}"
    )


@contextlib.contextmanager
def _faults(path: str, token_label: str) -> Iterator[None]:
    """Turn what python-pkcs11 and the client's layer raise into a CounterError."""
    try:
        yield
    except ModuleUnusable as error:
        raise CounterError(
            f"{path} cannot be loaded as a PKCS#11 module: {error.__cause__ or 'no such file'}"
        ) from error
    except pkcs11.PinIncorrect as error:
        raise CounterError(f"the user PIN given for the token {token_label!r} is wrong") from error
    except pkcs11.PinLocked as error:
        raise CounterError(f"the user PIN of the token {token_label!r} is locked") from error
    except pkcs11.UserPinNotInitialized as error:
        raise CounterError(f"the token {token_label!r} has no user PIN yet") from error
    except pkcs11.PKCS11Error as error:
        raise CounterError(f"the token {token_label!r} answered {name_of(error)}") from error
    except HolderError as error:
        raise CounterError(f"the token {token_label!r} cannot be used: {error}") from error
