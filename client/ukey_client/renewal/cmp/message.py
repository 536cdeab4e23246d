# ruff: noqa: N818 - an error is named by its fault
"""CMP messages as typed values: what stands behind the door of the decoder (RFC 9810 §5).

Names, public keys and certificates are kept as the DER they came in, so that nothing is lost by
encoding them again. Field names are those of the standard.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum

NONCE_SIZE = 16  # octets; RFC 9483 §3.1: at least 128 bits
TRANSACTION_ID_SIZE = 16

CERT_REQ_ID = 0  # RFC 9483 §4.1.1: the only request of a message
CERT_REQ_ID_NONE = -1  # of a p10cr, which has no place for it (RFC 9810 §5.3.4)


class MalformedMessage(ValueError):
    """The bytes are no CMP message, or one with a part that is not what it must be."""


class PKIStatus(IntEnum):
    """PKIStatus (RFC 9810 §5.2.3)."""

    ACCEPTED = 0
    GRANTED_WITH_MODS = 1
    REJECTION = 2
    WAITING = 3
    REVOCATION_WARNING = 4
    REVOCATION_NOTIFICATION = 5
    KEY_UPDATE_WARNING = 6


@dataclass(frozen=True, slots=True)
class StatusInfo:
    """PKIStatusInfo; `fail_info` holds the names of the bits as the standard spells them."""

    status: PKIStatus
    text: tuple[str, ...] = ()
    fail_info: frozenset[str] = frozenset()


ACCEPTED = StatusInfo(PKIStatus.ACCEPTED)


def rejected(failure: str, *text: str) -> StatusInfo:
    """Return a rejection with one bit of failInfo and sentences for people."""
    return StatusInfo(PKIStatus.REJECTION, text, frozenset({failure}))


@dataclass(frozen=True, slots=True)
class SignatureAlgorithm:
    """An algorithm identifier of a signature.

    `scheme` is rsassa_pkcs1v15, rsassa_pss, ecdsa, ed25519, ed448, or another word for what is
    not supported; `digest` is the name of the hash (sha256, ...) or None where the scheme has
    its own; `salt_length`, in octets, is for PSS only.
    """

    scheme: str
    digest: str | None = None
    salt_length: int | None = None


@dataclass(frozen=True, slots=True)
class Header:
    """PKIHeader (RFC 9810 §5.1.1).

    `sender` and `recipient` are DER of a Name, None for a GeneralName of another kind.
    `confirm_wait_time` is until when the CA waits for the certConf.
    """

    sender: bytes | None
    recipient: bytes | None
    pvno: int = 2
    message_time: datetime | None = None
    protection_alg: SignatureAlgorithm | None = None
    sender_kid: bytes | None = None
    transaction_id: bytes | None = None
    sender_nonce: bytes | None = None
    recip_nonce: bytes | None = None
    implicit_confirm: bool = False
    confirm_wait_time: datetime | None = None


@dataclass(frozen=True, slots=True)
class CertId:
    """CertId (RFC 4211 §6.5); `issuer` is DER of a Name."""

    issuer: bytes
    serial_number: int


@dataclass(frozen=True, slots=True)
class Popo:
    """A proof of possession by signature (RFC 4211 §4.1)."""

    algorithm: SignatureAlgorithm
    signature: bytes
    input_given: bool = False  # poposkInput, which is for templates without subject or key


@dataclass(frozen=True, slots=True)
class CertReq:
    """One CertReqMsg (RFC 4211 §3): the body of ir, cr and kur.

    `signed` is the DER of the CertRequest, what the proof of possession is computed over.
    """

    kind: str  # ir, cr, kur
    cert_req_id: int
    subject: bytes | None
    public_key: bytes | None
    signed: bytes
    popo: Popo | None
    old_cert_id: CertId | None = None


@dataclass(frozen=True, slots=True)
class P10cr:
    """A PKCS#10 request (RFC 2986) as the body of a p10cr."""

    request: bytes
    kind: str = "p10cr"


@dataclass(frozen=True, slots=True)
class CertRep:
    """The first CertResponse of ip, cp or kup (RFC 9810 §5.3.4)."""

    kind: str  # ip, cp, kup
    cert_req_id: int
    status: StatusInfo
    certificate: bytes | None = None


@dataclass(frozen=True, slots=True)
class CertStatus:
    """CertStatus (RFC 9810 §5.3.18); no `status` means accepted."""

    cert_hash: bytes
    cert_req_id: int
    status: StatusInfo | None = None
    hash_alg: str | None = None


@dataclass(frozen=True, slots=True)
class CertConf:
    """CertConfirmContent; empty means that no certificate is accepted."""

    statuses: tuple[CertStatus, ...]
    kind: str = "certConf"


@dataclass(frozen=True, slots=True)
class PkiConf:
    """PKIConfirmContent (RFC 9810 §5.3.17)."""

    kind: str = "pkiconf"


@dataclass(frozen=True, slots=True)
class ErrorMsg:
    """ErrorMsgContent (RFC 9810 §5.3.21)."""

    status: StatusInfo
    details: tuple[str, ...] = ()
    kind: str = "error"


@dataclass(frozen=True, slots=True)
class PollReq:
    """PollReqContent with its first certReqId (RFC 9810 §5.3.22)."""

    cert_req_id: int
    kind: str = "pollReq"


@dataclass(frozen=True, slots=True)
class PollRep:
    """PollRepContent, its first element; `check_after` is in seconds."""

    cert_req_id: int
    check_after: int
    reason: tuple[str, ...] = ()
    kind: str = "pollRep"


@dataclass(frozen=True, slots=True)
class General:
    """GenMsgContent or GenRepContent (RFC 9810 §5.3.19): (type, DER of the value or None)."""

    kind: str  # genm, genp
    items: tuple[tuple[str, bytes | None], ...]


@dataclass(frozen=True, slots=True)
class Unsupported:
    """A body that the standard knows and nobody here speaks."""

    kind: str


Body = (
    CertReq
    | P10cr
    | CertRep
    | CertConf
    | PkiConf
    | ErrorMsg
    | PollReq
    | PollRep
    | General
    | Unsupported
)


@dataclass(frozen=True, slots=True)
class Message:
    """A CMP message as it was received.

    `protected_part` is the DER that `protection`, if there is any, was computed over
    (RFC 9810 §5.1.3); `extra_certs` are certificates in DER, unchecked.
    """

    header: Header
    body: Body
    protected_part: bytes = field(repr=False)
    protection: bytes | None = field(repr=False)
    extra_certs: tuple[bytes, ...] = field(repr=False)
