# mypy: disable-error-code="import-untyped"
"""From bytes to typed CMP messages: the door through which everything received comes.

Nothing behind this door sees ASN.1. Whatever is wrong with the bytes comes out as one error,
MalformedMessage.
"""

from datetime import datetime
from typing import Any

from asn1crypto import core, parser, x509

from ukey_client.renewal.cmp import syntax
from ukey_client.renewal.cmp.message import (
    Body,
    CertConf,
    CertId,
    CertRep,
    CertReq,
    CertStatus,
    ErrorMsg,
    General,
    Header,
    MalformedMessage,
    Message,
    P10cr,
    PkiConf,
    PKIStatus,
    PollRep,
    PollReq,
    Popo,
    SignatureAlgorithm,
    StatusInfo,
    Unsupported,
)

# What asn1crypto raises on bytes that are not what they should be: it decodes lazily, with the
# errors of whatever Python it passes through.
_DECODING_ERRORS = (
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    OverflowError,
    RecursionError,
)


def decode(der: bytes) -> Message:
    """Decode one PKIMessage; MalformedMessage if it is none."""
    try:
        return _message(der)
    except _DECODING_ERRORS as error:
        raise MalformedMessage(f"not a CMP message: {error}") from error


def same_name(one: bytes | None, other: bytes | None) -> bool:
    """Whether two DER Names are equal by the rules of RFC 5280 §7.1; None equals nothing."""
    if one is None or other is None:
        return False
    if one == other:
        return True
    try:
        return bool(x509.Name.load(one) == x509.Name.load(other))
    except _DECODING_ERRORS:
        return False


def signature_algorithm(identifier: Any) -> SignatureAlgorithm:  # noqa: ANN401 - asn1crypto is untyped
    """Type an asn1crypto SignedDigestAlgorithm."""
    name = str(identifier["algorithm"].native)
    try:
        scheme = identifier.signature_algo
    except ValueError:
        return SignatureAlgorithm(name)
    if scheme in {"ed25519", "ed448"}:
        return SignatureAlgorithm(scheme)
    try:
        digest = identifier.hash_algo
    except ValueError:
        return SignatureAlgorithm(name)
    if scheme == "rsassa_pss":
        parameters = identifier["parameters"]
        masked = parameters["mask_gen_algorithm"]["parameters"]["algorithm"].native
        if masked != digest:
            return SignatureAlgorithm(f"{name} with another hash inside")
        return SignatureAlgorithm(scheme, digest, int(parameters["salt_length"].native))
    return SignatureAlgorithm(scheme, digest)


def _message(der: bytes) -> Message:
    message = syntax.PKIMessage.load(der, strict=True)
    header, body = message["header"], message["body"]
    protection = message["protection"]
    return Message(
        header=_header(header),
        body=_body(body),
        protected_part=_protected_part(der),
        protection=None if _absent(protection) else bytes(protection.native),
        extra_certs=_certificates(message["extra_certs"]),
    )


def _protected_part(der: bytes) -> bytes:
    """Cut header and body out as they were received: they are what was signed."""
    inside = parser.parse(der, strict=True)[4]
    size = 0
    for _ in ("header", "body"):
        _, _, _, start, content, end = parser.parse(inside[size:])
        size += len(start) + len(content) + len(end)
    return bytes(parser.emit(0, 1, 16, inside[:size]))


def _header(header: Any) -> Header:  # noqa: ANN401
    implicit_confirm = False
    confirm_wait_time: datetime | None = None
    if not _absent(header["general_info"]):
        for item in header["general_info"]:
            kind = item["info_type"].native
            if kind == "implicit_confirm":
                implicit_confirm = True
            elif kind == "confirm_wait_time":
                confirm_wait_time = item["info_value"].native
    protection_alg = header["protection_alg"]
    return Header(
        sender=_directory_name(header["sender"]),
        recipient=_directory_name(header["recipient"]),
        pvno=int(header["pvno"].native),
        message_time=header["message_time"].native,
        protection_alg=None if _absent(protection_alg) else signature_algorithm(protection_alg),
        sender_kid=header["sender_kid"].native,
        transaction_id=header["transaction_id"].native,
        sender_nonce=header["sender_nonce"].native,
        recip_nonce=header["recip_nonce"].native,
        implicit_confirm=implicit_confirm,
        confirm_wait_time=confirm_wait_time,
    )


def _body(body: Any) -> Body:  # noqa: ANN401
    kind, chosen = str(body.name), body.chosen
    result: Body
    if kind in {"ir", "cr", "kur"}:
        result = _cert_req(kind, chosen)
    elif kind == "p10cr":
        _ = chosen.native  # decodes all of it, so that a broken one is found here
        result = P10cr(chosen.untag().dump())
    elif kind in {"ip", "cp", "kup"}:
        result = _cert_rep(kind, chosen)
    elif kind == "certConf":
        result = CertConf(tuple(_cert_status(status) for status in chosen))
    elif kind == "pkiconf":
        _ = chosen.native
        result = PkiConf()
    elif kind == "error":
        result = ErrorMsg(_status(chosen["pki_status_info"]), _free_text(chosen["error_details"]))
    elif kind == "pollReq":
        result = PollReq(int(_only(chosen, kind)["cert_req_id"].native))
    elif kind == "pollRep":
        poll = _only(chosen, kind)
        result = PollRep(
            int(poll["cert_req_id"].native),
            int(poll["check_after"].native),
            _free_text(poll["reason"]),
        )
    elif kind in {"genm", "genp"}:
        result = General(kind, tuple(_info(item) for item in chosen))
    else:
        result = Unsupported(kind)
    return result


def _only(elements: Any, kind: str) -> Any:  # noqa: ANN401
    if len(elements) != 1:
        raise MalformedMessage(f"{kind} holds {len(elements)} elements, the profile wants one")
    return elements[0]


def _cert_req(kind: str, messages: Any) -> CertReq:  # noqa: ANN401
    message = _only(messages, kind)
    request = message["cert_req"]
    template = request["cert_template"]
    _ = template.native
    old_cert_id: CertId | None = None
    if not _absent(request["controls"]):
        for control in request["controls"]:
            if control["type"].native == "old_cert_id":
                value = control["value"]
                issuer = _directory_name(value["issuer"])
                if issuer is None:
                    raise MalformedMessage("the issuer in oldCertID is no directory name")
                old_cert_id = CertId(issuer, int(value["serial_number"].native))
    return CertReq(
        kind=kind,
        cert_req_id=int(request["cert_req_id"].native),
        subject=_untagged(template["subject"]),
        public_key=_untagged(template["public_key"]),
        signed=request.dump(),
        popo=_popo(message["popo"]),
        old_cert_id=old_cert_id,
    )


def _popo(popo: Any) -> Popo | None:  # noqa: ANN401
    if _absent(popo):
        return None
    if popo.name != "signature":
        return Popo(SignatureAlgorithm(popo.name), b"")
    signing = popo.chosen
    return Popo(
        signature_algorithm(signing["algorithm_identifier"]),
        bytes(signing["signature"].native),
        input_given=not _absent(signing["poposk_input"]),
    )


def _cert_rep(kind: str, reply: Any) -> CertRep:  # noqa: ANN401
    response = _only(reply["response"], kind)
    certificate: bytes | None = None
    pair = response["certified_key_pair"]
    if not _absent(pair):
        choice = pair["cert_or_enc_cert"]
        if choice.name != "certificate":
            raise MalformedMessage("the certificate is encrypted, which was not asked for")
        certificate = choice.chosen.untag().dump()
    return CertRep(
        kind, int(response["cert_req_id"].native), _status(response["status"]), certificate
    )


def _cert_status(status: Any) -> CertStatus:  # noqa: ANN401
    info, hash_alg = status["status_info"], status["hash_alg"]
    return CertStatus(
        bytes(status["cert_hash"].native),
        int(status["cert_req_id"].native),
        None if _absent(info) else _status(info),
        None if _absent(hash_alg) else str(hash_alg["algorithm"].native),
    )


def _status(info: Any) -> StatusInfo:  # noqa: ANN401
    number = int(info["status"].native)
    fail_info = info["fail_info"]
    return StatusInfo(
        PKIStatus(number),
        _free_text(info["status_string"]),
        frozenset() if _absent(fail_info) else frozenset(str(bit) for bit in fail_info.native),
    )


def _info(item: Any) -> tuple[str, bytes | None]:  # noqa: ANN401
    value = item["info_value"]
    return str(item["info_type"].native), None if _absent(value) else value.dump()


def _free_text(text: Any) -> tuple[str, ...]:  # noqa: ANN401
    return () if _absent(text) else tuple(str(line.native) for line in text)


def _certificates(certificates: Any) -> tuple[bytes, ...]:  # noqa: ANN401
    return () if _absent(certificates) else tuple(one.dump() for one in certificates)


def _directory_name(general_name: Any) -> bytes | None:  # noqa: ANN401
    if general_name.name != "directory_name":
        return None
    name = general_name.chosen
    _ = name.hashable  # decodes all of it
    return bytes(name.untag().dump())


def _untagged(value: Any) -> bytes | None:  # noqa: ANN401
    return None if _absent(value) else bytes(value.untag().dump())


def _absent(value: Any) -> bool:  # noqa: ANN401
    return isinstance(value, core.Void)
