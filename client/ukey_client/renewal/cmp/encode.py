# mypy: disable-error-code="import-untyped"
"""From typed values to the bytes of CMP messages: the door through which everything sent goes."""

import dataclasses
import secrets
from collections.abc import Callable, Sequence
from typing import Any

from asn1crypto import algos, core, csr, keys, x509

from ukey_client.renewal.cmp import crmf, syntax
from ukey_client.renewal.cmp.message import (
    CERT_REQ_ID,
    NONCE_SIZE,
    CertConf,
    CertId,
    CertRep,
    CertReq,
    CertStatus,
    ErrorMsg,
    General,
    Header,
    P10cr,
    PkiConf,
    PollRep,
    PollReq,
    Popo,
    SignatureAlgorithm,
    StatusInfo,
)

Sendable = CertReq | P10cr | CertRep | CertConf | PkiConf | ErrorMsg | PollReq | PollRep | General

# Bits of failInfo, as the standard numbers them; the encoder needs them in order.
_FAILURE_BITS = {name: bit for bit, name in syntax.PKIFailureInfo._map.items()}  # noqa: SLF001 - asn1crypto's declaration, ours


@dataclasses.dataclass(frozen=True, slots=True)
class Protector:
    """Who protects a message: the algorithm, the signing, and the certificates to send along.

    `extra_certs` are in DER; the first is the one that the signature verifies with
    (RFC 9483 §3.3).
    """

    algorithm: SignatureAlgorithm
    sign: Callable[[bytes], bytes] = dataclasses.field(repr=False)
    extra_certs: Sequence[bytes] = dataclasses.field(repr=False, default=())


def nonce() -> bytes:
    """Return a fresh senderNonce or transactionID: 128 random bits (RFC 9483 §3.1)."""
    return secrets.token_bytes(NONCE_SIZE)


def encode(header: Header, body: Sendable, protector: Protector) -> bytes:
    """Encode a message and protect it; the header's protectionAlg is set from the protector."""
    header = dataclasses.replace(header, protection_alg=protector.algorithm)
    part = syntax.ProtectedPart({"header": _header(header), "body": _body(body)})
    message: dict[str, Any] = {
        "header": part["header"],
        "body": part["body"],
        "protection": protector.sign(part.dump()),
    }
    if protector.extra_certs:
        message["extra_certs"] = [x509.Certificate.load(der) for der in protector.extra_certs]
    return bytes(syntax.PKIMessage(message).dump())


def certificate_request(
    kind: str,
    *,
    issuer: bytes,
    subject: bytes,
    public_key: bytes,
    algorithm: SignatureAlgorithm,
    sign: Callable[[bytes], bytes],
    old_cert_id: CertId | None = None,
) -> CertReq:
    """Make the request of an ir, cr or kur with its proof of possession (RFC 9483 §4.1.1, §4.1.3).

    `sign` signs with the new key, by `algorithm`. Names and key are in DER.
    """
    request = crmf.CertRequest(
        {
            "cert_req_id": CERT_REQ_ID,
            "cert_template": {
                "issuer": x509.Name.load(issuer),
                "subject": x509.Name.load(subject),
                "public_key": keys.PublicKeyInfo.load(public_key),
            },
        }
    )
    if old_cert_id is not None:
        request["controls"] = [
            {
                "type": "old_cert_id",
                "value": {
                    "issuer": _general_name(old_cert_id.issuer),
                    "serial_number": old_cert_id.serial_number,
                },
            }
        ]
    signed = bytes(request.dump())
    return CertReq(
        kind=kind,
        cert_req_id=CERT_REQ_ID,
        subject=subject,
        public_key=public_key,
        signed=signed,
        popo=Popo(algorithm, sign(signed)),
        old_cert_id=old_cert_id,
    )


def ca_certificates(certificates: Sequence[bytes]) -> bytes:
    """Encode the value of a caCerts answer (RFC 9483 §4.3.1)."""
    return bytes(syntax.Certificates([x509.Certificate.load(der) for der in certificates]).dump())


def _header(header: Header) -> Any:  # noqa: ANN401 - asn1crypto is untyped
    fields: dict[str, Any] = {
        "pvno": header.pvno,
        "sender": _general_name(header.sender),
        "recipient": _general_name(header.recipient),
        "message_time": header.message_time,
        "sender_kid": header.sender_kid,
        "transaction_id": header.transaction_id,
        "sender_nonce": header.sender_nonce,
        "recip_nonce": header.recip_nonce,
    }
    if header.protection_alg is not None:
        fields["protection_alg"] = _algorithm(header.protection_alg)
    general_info: list[dict[str, Any]] = []
    if header.implicit_confirm:
        general_info.append({"info_type": "implicit_confirm", "info_value": core.Null()})
    if header.confirm_wait_time is not None:
        general_info.append(
            {
                "info_type": "confirm_wait_time",
                "info_value": core.GeneralizedTime(header.confirm_wait_time),
            }
        )
    if general_info:
        fields["general_info"] = general_info
    present = {name: value for name, value in fields.items() if value is not None}
    return syntax.PKIHeader(present)


def _body(body: Sendable) -> Any:  # noqa: ANN401
    spec = next(spec for name, spec, _ in syntax.PKIBody._alternatives if name == body.kind)  # noqa: SLF001 - ours
    content = _content(body)
    # asn1crypto's CHOICE takes no bare lists and dictionaries.
    return syntax.PKIBody(
        name=body.kind, value=content if isinstance(content, spec) else spec(content)
    )


def _content(body: Sendable) -> Any:  # noqa: ANN401, PLR0911 - one for each body
    match body:
        case CertReq():
            return [_cert_req(body)]
        case P10cr():
            return csr.CertificationRequest.load(body.request)
        case CertRep():
            return {"response": [_cert_response(body)]}
        case CertConf():
            return [_cert_status(status) for status in body.statuses]
        case PkiConf():
            return core.Null()
        case ErrorMsg():
            return _error(body)
        case PollReq():
            return [{"cert_req_id": body.cert_req_id}]
        case PollRep():
            return [_poll_rep(body)]
        case General():
            return [_info(kind, content) for kind, content in body.items]


def _error(error: ErrorMsg) -> dict[str, Any]:
    fields: dict[str, Any] = {"pki_status_info": _status(error.status)}
    if error.details:
        fields["error_details"] = list(error.details)
    return fields


def _poll_rep(poll: PollRep) -> dict[str, Any]:
    fields: dict[str, Any] = {"cert_req_id": poll.cert_req_id, "check_after": poll.check_after}
    if poll.reason:
        fields["reason"] = list(poll.reason)
    return fields


def _cert_req(request: CertReq) -> dict[str, Any]:
    message: dict[str, Any] = {"cert_req": crmf.CertRequest.load(request.signed)}
    if request.popo is not None:
        signing = crmf.PopoSigningKey(
            {
                "algorithm_identifier": _algorithm(request.popo.algorithm),
                "signature": request.popo.signature,
            }
        )
        message["popo"] = crmf.ProofOfPossession(name="signature", value=signing)
    return message


def _cert_response(reply: CertRep) -> dict[str, Any]:
    response: dict[str, Any] = {
        "cert_req_id": reply.cert_req_id,
        "status": _status(reply.status),
    }
    if reply.certificate is not None:
        certificate = x509.Certificate.load(reply.certificate)
        choice = syntax.CertOrEncCert(name="certificate", value=certificate)
        response["certified_key_pair"] = {"cert_or_enc_cert": choice}
    return response


def _cert_status(status: CertStatus) -> dict[str, Any]:
    fields: dict[str, Any] = {"cert_hash": status.cert_hash, "cert_req_id": status.cert_req_id}
    if status.status is not None:
        fields["status_info"] = _status(status.status)
    if status.hash_alg is not None:
        fields["hash_alg"] = {"algorithm": status.hash_alg}
    return fields


def _status(info: StatusInfo) -> dict[str, Any]:
    fields: dict[str, Any] = {"status": int(info.status)}
    if info.text:
        fields["status_string"] = list(info.text)
    if info.fail_info:
        bits = {_FAILURE_BITS[name] for name in info.fail_info}
        # DER drops the zero bits at the end of a named bit list (X.690 §11.2.2).
        fields["fail_info"] = syntax.PKIFailureInfo(
            tuple(int(bit in bits) for bit in range(max(bits) + 1))
        )
    return fields


def _info(kind: str, content: bytes | None) -> dict[str, Any]:
    item: dict[str, Any] = {"info_type": kind}
    if content is not None:
        item["info_value"] = syntax.InfoTypeAndValue._oid_specs[kind].load(content)  # noqa: SLF001 - ours
    return item


def _algorithm(algorithm: SignatureAlgorithm) -> Any:  # noqa: ANN401
    if algorithm.scheme == "rsassa_pkcs1v15":
        # The parameters of RSA are NULL (RFC 4055 §5), those of ECDSA absent (RFC 5758 §3.2).
        return algos.SignedDigestAlgorithm(
            {"algorithm": f"{algorithm.digest}_rsa", "parameters": core.Null()}
        )
    return algos.SignedDigestAlgorithm({"algorithm": f"{algorithm.digest}_ecdsa"})


def _general_name(name: bytes | None) -> Any:  # noqa: ANN401
    # The NULL-DN stands for a name that is not known (RFC 9810 §5.1.1).
    value = x509.Name.load(name) if name is not None else x509.Name.build({})
    return x509.GeneralName(name="directory_name", value=value)
