"""What the certificate authority refuses, one class for each reason.

Every error's text names the fault and the way out; the faces (CMP, TSA, the counter) translate
the class into their protocol's code.
"""

from __future__ import annotations


class AuthorityError(Exception):
    """The certificate authority cannot do what was asked; the text says why."""


class RequestError(AuthorityError):
    """A certification request is malformed or its signature does not verify."""


class PublicKeyError(AuthorityError):
    """The public key is of a kind, size or curve that this authority does not certify."""


class ValidityError(AuthorityError):
    """The validity asked for is empty, or not within that of the authority itself."""


class UnknownCertificateError(AuthorityError):
    """The certificate is not one that this authority has issued."""


class CertificateRevokedError(AuthorityError):
    """The certificate has been revoked, so that it can be neither renewed nor revoked again."""


class RenewalTooLateError(AuthorityError):
    """The certificate expired too long ago to be renewed."""


class RenewalTooEarlyError(AuthorityError):
    """The certificate is not near enough to its expiry to be renewed."""
