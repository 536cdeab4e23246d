# mypy: disable-error-code="import-untyped", disallow-subclassing-any=False
# ruff: noqa: RUF012 -- the class attributes are asn1crypto's declarations, nobody changes them
"""The syntax of CMP messages (RFC 9810 appendix F; the module has EXPLICIT TAGS).

Bodies that no part of ours speaks (challenges, key recovery, announcements, ...) keep their
content undecoded, so that they can be named and refused.
"""

from asn1crypto import algos, core, csr, x509

from ukey_client.renewal.cmp.crmf import CertReqMessages

ID_IT = "1.3.6.1.5.5.7.4"

PVNO_2000 = 2
PVNO_2021 = 3


class FreeText(core.SequenceOf):
    """PKIFreeText."""

    _child_spec = core.UTF8String


class InfoType(core.ObjectIdentifier):
    """The information types of RFC 9810 §5.1.1 and §5.3.19 that are spoken here."""

    _map = {
        f"{ID_IT}.13": "implicit_confirm",
        f"{ID_IT}.14": "confirm_wait_time",
        f"{ID_IT}.17": "ca_certs",
        f"{ID_IT}.20": "root_ca_cert",
    }


class Certificates(core.SequenceOf):
    """SEQUENCE OF CMPCertificate; the only kind of certificate known is X.509."""

    _child_spec = x509.Certificate


class InfoTypeAndValue(core.Sequence):
    """InfoTypeAndValue (RFC 9810 §5.3.19)."""

    _fields = [
        ("info_type", InfoType),
        ("info_value", core.Any, {"optional": True}),
    ]
    _oid_pair = ("info_type", "info_value")
    _oid_specs = {
        "implicit_confirm": core.Null,
        "confirm_wait_time": core.GeneralizedTime,
        "ca_certs": Certificates,
        "root_ca_cert": x509.Certificate,
    }


class GeneralInfo(core.SequenceOf):
    """GenMsgContent, GenRepContent and the generalInfo of the header."""

    _child_spec = InfoTypeAndValue


class Pvno(core.Integer):
    """The version of the protocol (RFC 9810 §7)."""


class PKIHeader(core.Sequence):
    """PKIHeader (RFC 9810 §5.1.1)."""

    _fields = [
        ("pvno", Pvno),
        ("sender", x509.GeneralName),
        ("recipient", x509.GeneralName),
        ("message_time", core.GeneralizedTime, {"explicit": 0, "optional": True}),
        ("protection_alg", algos.SignedDigestAlgorithm, {"explicit": 1, "optional": True}),
        ("sender_kid", core.OctetString, {"explicit": 2, "optional": True}),
        ("recip_kid", core.OctetString, {"explicit": 3, "optional": True}),
        ("transaction_id", core.OctetString, {"explicit": 4, "optional": True}),
        ("sender_nonce", core.OctetString, {"explicit": 5, "optional": True}),
        ("recip_nonce", core.OctetString, {"explicit": 6, "optional": True}),
        ("free_text", FreeText, {"explicit": 7, "optional": True}),
        ("general_info", GeneralInfo, {"explicit": 8, "optional": True}),
    ]


class PKIFailureInfo(core.BitString):
    """PKIFailureInfo (RFC 9810 §5.2.3), the bits under the names of the standard."""

    _map = {
        0: "badAlg",
        1: "badMessageCheck",
        2: "badRequest",
        3: "badTime",
        4: "badCertId",
        5: "badDataFormat",
        6: "wrongAuthority",
        7: "incorrectData",
        8: "missingTimeStamp",
        9: "badPOP",
        10: "certRevoked",
        11: "certConfirmed",
        12: "wrongIntegrity",
        13: "badRecipientNonce",
        14: "timeNotAvailable",
        15: "unacceptedPolicy",
        16: "unacceptedExtension",
        17: "addInfoNotAvailable",
        18: "badSenderNonce",
        19: "badCertTemplate",
        20: "signerNotTrusted",
        21: "transactionIdInUse",
        22: "unsupportedVersion",
        23: "notAuthorized",
        24: "systemUnavail",
        25: "systemFailure",
        26: "duplicateCertReq",
    }


class PKIStatusInfo(core.Sequence):
    """PKIStatusInfo (RFC 9810 §5.2.3)."""

    _fields = [
        ("status", core.Integer),
        ("status_string", FreeText, {"optional": True}),
        ("fail_info", PKIFailureInfo, {"optional": True}),
    ]


class CertOrEncCert(core.Choice):
    """CertOrEncCert (RFC 9810 §5.3.4); an encrypted certificate is not understood here."""

    _alternatives = [
        ("certificate", x509.Certificate, {"explicit": 0}),
        ("encrypted_cert", core.Any, {"explicit": 1}),
    ]


class CertifiedKeyPair(core.Sequence):
    """CertifiedKeyPair (RFC 9810 §5.3.4)."""

    _fields = [
        ("cert_or_enc_cert", CertOrEncCert),
        ("private_key", core.Any, {"explicit": 0, "optional": True}),
        ("publication_info", core.Any, {"explicit": 1, "optional": True}),
    ]


class CertResponse(core.Sequence):
    """CertResponse (RFC 9810 §5.3.4)."""

    _fields = [
        ("cert_req_id", core.Integer),
        ("status", PKIStatusInfo),
        ("certified_key_pair", CertifiedKeyPair, {"optional": True}),
        ("rsp_info", core.OctetString, {"optional": True}),
    ]


class CertResponses(core.SequenceOf):
    """SEQUENCE OF CertResponse."""

    _child_spec = CertResponse


class CertRepMessage(core.Sequence):
    """CertRepMessage (RFC 9810 §5.3.4): the body of ip, cp and kup."""

    _fields = [
        ("ca_pubs", Certificates, {"explicit": 1, "optional": True}),
        ("response", CertResponses),
    ]


class CertStatus(core.Sequence):
    """CertStatus (RFC 9810 §5.3.18)."""

    _fields = [
        ("cert_hash", core.OctetString),
        ("cert_req_id", core.Integer),
        ("status_info", PKIStatusInfo, {"optional": True}),
        ("hash_alg", algos.DigestAlgorithm, {"explicit": 0, "optional": True}),
    ]


class CertConfirmContent(core.SequenceOf):
    """CertConfirmContent (RFC 9810 §5.3.18)."""

    _child_spec = CertStatus


class ErrorMsgContent(core.Sequence):
    """ErrorMsgContent (RFC 9810 §5.3.21)."""

    _fields = [
        ("pki_status_info", PKIStatusInfo),
        ("error_code", core.Integer, {"optional": True}),
        ("error_details", FreeText, {"optional": True}),
    ]


class PollReq(core.Sequence):
    """The element of PollReqContent (RFC 9810 §5.3.22)."""

    _fields = [("cert_req_id", core.Integer)]


class PollReqContent(core.SequenceOf):
    """PollReqContent (RFC 9810 §5.3.22)."""

    _child_spec = PollReq


class PollRep(core.Sequence):
    """The element of PollRepContent (RFC 9810 §5.3.22)."""

    _fields = [
        ("cert_req_id", core.Integer),
        ("check_after", core.Integer),
        ("reason", FreeText, {"optional": True}),
    ]


class PollRepContent(core.SequenceOf):
    """PollRepContent (RFC 9810 §5.3.22)."""

    _child_spec = PollRep


class PKIBody(core.Choice):
    """PKIBody (RFC 9810 §5.1.2)."""

    _alternatives = [
        ("ir", CertReqMessages, {"explicit": 0}),
        ("ip", CertRepMessage, {"explicit": 1}),
        ("cr", CertReqMessages, {"explicit": 2}),
        ("cp", CertRepMessage, {"explicit": 3}),
        ("p10cr", csr.CertificationRequest, {"explicit": 4}),
        ("popdecc", core.Any, {"explicit": 5}),
        ("popdecr", core.Any, {"explicit": 6}),
        ("kur", CertReqMessages, {"explicit": 7}),
        ("kup", CertRepMessage, {"explicit": 8}),
        ("krr", core.Any, {"explicit": 9}),
        ("krp", core.Any, {"explicit": 10}),
        ("rr", core.Any, {"explicit": 11}),
        ("rp", core.Any, {"explicit": 12}),
        ("ccr", core.Any, {"explicit": 13}),
        ("ccp", core.Any, {"explicit": 14}),
        ("ckuann", core.Any, {"explicit": 15}),
        ("cann", core.Any, {"explicit": 16}),
        ("rann", core.Any, {"explicit": 17}),
        ("crlann", core.Any, {"explicit": 18}),
        ("pkiconf", core.Null, {"explicit": 19}),
        ("nested", core.Any, {"explicit": 20}),
        ("genm", GeneralInfo, {"explicit": 21}),
        ("genp", GeneralInfo, {"explicit": 22}),
        ("error", ErrorMsgContent, {"explicit": 23}),
        ("certConf", CertConfirmContent, {"explicit": 24}),
        ("pollReq", PollReqContent, {"explicit": 25}),
        ("pollRep", PollRepContent, {"explicit": 26}),
    ]


class ProtectedPart(core.Sequence):
    """ProtectedPart (RFC 9810 §5.1.3): what the protection is computed over."""

    _fields = [
        ("header", PKIHeader),
        ("body", PKIBody),
    ]


class PKIMessage(core.Sequence):
    """PKIMessage (RFC 9810 §5.1)."""

    _fields = [
        ("header", PKIHeader),
        ("body", PKIBody),
        ("protection", core.OctetBitString, {"explicit": 0, "optional": True}),
        ("extra_certs", Certificates, {"explicit": 1, "optional": True}),
    ]
