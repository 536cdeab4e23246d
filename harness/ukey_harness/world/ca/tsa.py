"""The timestamping authority (RFC 3161): says that a digest existed at the world's time.

certomancer makes the tokens; the checks of the request (§2.4.1) stand here.
"""

from __future__ import annotations

import hashlib
from typing import ClassVar

from asn1crypto import core, tsp
from certomancer.services import TimeStamper

from ukey_harness.world.ca.authority import CertificateAuthority

POLICY = "2.999.1"
"""The policy of the tokens, below the arc for examples: no real policy is claimed."""
_DIGESTS = ("sha256", "sha384", "sha512")


def answer(ca: CertificateAuthority, request: bytes) -> bytes:
    """Return the DER of a TimeStampResp to the DER of a TimeStampReq; refusals are answers too."""
    try:
        parsed = tsp.TimeStampReq.load(request, strict=True)
        parsed.native  # noqa: B018, parsing is lazy: this reads all of it
    except (ValueError, TypeError):
        return _rejection("bad_data_format", "not a TimeStampReq in DER")
    signer = ca.identity("tsa")
    certificate, now = signer.certificate, ca.clock.now()
    refusal = _refusal(parsed)
    if refusal is not None:
        return _rejection(*refusal)
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        return _rejection("time_not_available", f"the certificate of the TSA is not valid at {now}")
    stamper = TimeStamper(
        signer.asn1_certificate(),
        signer.asn1_key(),
        certs_to_embed=[ca.identity("issuing").asn1_certificate()],
        fixed_dt=now,
        policy=tsp.ObjectIdentifier(POLICY),
    )
    response = stamper.request_tsa_response(parsed)
    if not parsed["cert_req"].native:
        # §2.4.1: certificates only where they were asked for; they are outside the signature.
        response["time_stamp_token"]["content"]["certificates"] = None
    return bytes(response.dump(force=True))


class _Refusal(core.Sequence):  # type: ignore[misc]
    """A TimeStampResp without token, which asn1crypto's own takes for incomplete (§2.4.2)."""

    _fields: ClassVar = [("status", tsp.PKIStatusInfo)]


def _refusal(request: tsp.TimeStampReq) -> tuple[str, str] | None:
    """Return failure code and text where the request asks for what is not to be had."""
    imprint = request["message_imprint"]
    digest = imprint["hash_algorithm"]["algorithm"].native
    if digest not in _DIGESTS:
        return "bad_alg", f"the digest {digest} is not taken, but {', '.join(_DIGESTS)}"
    size = hashlib.new(digest).digest_size
    if len(imprint["hashed_message"].native) != size:
        return "bad_data_format", f"a digest by {digest} has {size} bytes"
    if request["req_policy"].native not in {None, POLICY}:
        return "unaccepted_policy", f"the only policy is {POLICY}"
    if len(request["extensions"]):
        return "unaccepted_extensions", "extensions are not taken"
    if request["version"].native != "v1":
        return "bad_request", "the version of a TimeStampReq is 1"
    return None


def _rejection(failure: str, text: str) -> bytes:
    status = {"status": "rejection", "status_string": [text], "fail_info": {failure}}
    return bytes(_Refusal({"status": status}).dump())
