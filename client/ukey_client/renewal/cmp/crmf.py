# mypy: disable-error-code="import-untyped", disallow-subclassing-any=False
# ruff: noqa: RUF012 -- the class attributes are asn1crypto's declarations, nobody changes them
"""The syntax of certificate requests: CRMF (RFC 4211 appendix B), as far as renewal needs it.

The module of the standard has IMPLICIT TAGS. A tagged CHOICE (Name, Time, GeneralName,
POPOPrivKey) is explicit all the same, as ASN.1 demands (X.680 §31.2.7).
"""

from asn1crypto import algos, cms, core, keys, x509

ID_REG_CTRL = "1.3.6.1.5.5.7.5.1"


class OptionalValidity(core.Sequence):
    """OptionalValidity (RFC 4211 §5)."""

    _fields = [
        ("not_before", x509.Time, {"explicit": 0, "optional": True}),
        ("not_after", x509.Time, {"explicit": 1, "optional": True}),
    ]


class CertTemplate(core.Sequence):
    """CertTemplate (RFC 4211 §5): a certificate with all of its fields optional."""

    _fields = [
        ("version", x509.Version, {"implicit": 0, "optional": True}),
        ("serial_number", core.Integer, {"implicit": 1, "optional": True}),
        ("signing_alg", algos.SignedDigestAlgorithm, {"implicit": 2, "optional": True}),
        ("issuer", x509.Name, {"explicit": 3, "optional": True}),
        ("validity", OptionalValidity, {"implicit": 4, "optional": True}),
        ("subject", x509.Name, {"explicit": 5, "optional": True}),
        ("public_key", keys.PublicKeyInfo, {"implicit": 6, "optional": True}),
        ("issuer_uid", core.OctetBitString, {"implicit": 7, "optional": True}),
        ("subject_uid", core.OctetBitString, {"implicit": 8, "optional": True}),
        ("extensions", x509.Extensions, {"implicit": 9, "optional": True}),
    ]


class CertId(core.Sequence):
    """CertId (RFC 4211 §6.5): names a certificate by its issuer and serial number."""

    _fields = [
        ("issuer", x509.GeneralName),
        ("serial_number", core.Integer),
    ]


class ControlType(core.ObjectIdentifier):
    """The registration controls of RFC 4211 §6."""

    _map = {
        f"{ID_REG_CTRL}.1": "reg_token",
        f"{ID_REG_CTRL}.2": "authenticator",
        f"{ID_REG_CTRL}.3": "pki_publication_info",
        f"{ID_REG_CTRL}.4": "pki_archive_options",
        f"{ID_REG_CTRL}.5": "old_cert_id",
        f"{ID_REG_CTRL}.6": "protocol_encr_key",
    }


class Control(core.Sequence):
    """AttributeTypeAndValue, as used for controls (RFC 4211 §6)."""

    _fields = [
        ("type", ControlType),
        ("value", core.Any),
    ]
    _oid_pair = ("type", "value")
    _oid_specs = {"old_cert_id": CertId}


class Controls(core.SequenceOf):
    """Controls (RFC 4211 §6)."""

    _child_spec = Control


class CertRequest(core.Sequence):
    """CertRequest (RFC 4211 §5): what the proof of possession is computed over."""

    _fields = [
        ("cert_req_id", core.Integer),
        ("cert_template", CertTemplate),
        ("controls", Controls, {"optional": True}),
    ]


class PkMacValue(core.Sequence):
    """PKMACValue (RFC 4211 §4.4)."""

    _fields = [
        ("alg_id", core.Any),
        ("value", core.OctetBitString),
    ]


class PopoAuthInfo(core.Choice):
    """The CHOICE authInfo of POPOSigningKeyInput (RFC 4211 §4.1)."""

    _alternatives = [
        ("sender", x509.GeneralName, {"explicit": 0}),
        ("public_key_mac", PkMacValue),
    ]


class PopoSigningKeyInput(core.Sequence):
    """POPOSigningKeyInput (RFC 4211 §4.1)."""

    _fields = [
        ("auth_info", PopoAuthInfo),
        ("public_key", keys.PublicKeyInfo),
    ]


class PopoSigningKey(core.Sequence):
    """POPOSigningKey (RFC 4211 §4.1): the new key's signature over the CertRequest."""

    _fields = [
        ("poposk_input", PopoSigningKeyInput, {"implicit": 0, "optional": True}),
        ("algorithm_identifier", algos.SignedDigestAlgorithm),
        ("signature", core.OctetBitString),
    ]


class PopoPrivKey(core.Choice):
    """POPOPrivKey (RFC 4211 §4.2)."""

    _alternatives = [
        ("this_message", core.OctetBitString, {"implicit": 0}),
        ("subsequent_message", core.Integer, {"implicit": 1}),
        ("dh_mac", core.OctetBitString, {"implicit": 2}),
        ("agree_mac", PkMacValue, {"implicit": 3}),
        ("encrypted_key", cms.EnvelopedData, {"implicit": 4}),
    ]


class ProofOfPossession(core.Choice):
    """ProofOfPossession (RFC 4211 §4)."""

    _alternatives = [
        ("ra_verified", core.Null, {"implicit": 0}),
        ("signature", PopoSigningKey, {"implicit": 1}),
        ("key_encipherment", PopoPrivKey, {"explicit": 2}),
        ("key_agreement", PopoPrivKey, {"explicit": 3}),
    ]


class CertReqMsg(core.Sequence):
    """CertReqMsg (RFC 4211 §3)."""

    _fields = [
        ("cert_req", CertRequest),
        ("popo", ProofOfPossession, {"optional": True}),
        ("reg_info", Controls, {"optional": True}),
    ]


class CertReqMessages(core.SequenceOf):
    """CertReqMessages (RFC 4211 §3)."""

    _child_spec = CertReqMsg
