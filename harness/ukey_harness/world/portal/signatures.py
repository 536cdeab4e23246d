"""Detached CMS signatures (RFC 5652 §5) over a text that the portal knows."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import Final

from asn1crypto import cms, core, x509
from pyhanko.sign.general import SignedDataCerts, extract_certificate_info
from pyhanko.sign.validation.errors import SignatureValidationError
from pyhanko.sign.validation.generic_cms import validate_sig_integrity

from .refusals import PortalRefusal

DIGESTS: Final = frozenset({"sha256", "sha384", "sha512"})
"""SHA-1 and MD5 are refused: RFC 6151, RFC 6194."""
_SIGNATURES: Final = frozenset({"rsassa_pkcs1v15", "rsassa_pss", "ecdsa", "ed25519", "ed448"})
_RSA_BITS: Final = 2048
_EC_BITS: Final = 256


@dataclass(frozen=True)
class Signer:
    """Who signed: the certificate, and the others that came along (nothing of it trusted yet)."""

    certificate: x509.Certificate
    others: tuple[x509.Certificate, ...]


def verify_detached(signature: bytes, content: bytes) -> Signer:
    """Verify a detached signature over exactly `content` and return who signed.

    signature: DER of a ContentInfo with SignedData: one signer, its certificate embedded, no
    content, signed attributes contentType and messageDigest, SHA-2.
    The certificate itself is not judged here. Raises signature_invalid, saying why.
    """
    signed_data = _parse(signature)
    try:
        return _verify(signed_data, content)
    except PortalRefusal:
        raise
    except SignatureValidationError as error:
        raise _invalid(f"签名验证未通过（{error.failure_message}）。") from error
    except Exception as error:  # asn1crypto parses late and raises whatever it meets
        raise _invalid("签名数据不完整或格式不正确。") from error


def _parse(signature: bytes) -> cms.SignedData:
    try:
        info = cms.ContentInfo.load(signature, strict=True)
        kind = info["content_type"].native
        if kind != "signed_data":
            raise _invalid("提交的不是签名数据（CMS SignedData）。")
        return info["content"]
    except (ValueError, TypeError, KeyError) as error:
        raise _invalid("提交的不是签名数据（CMS SignedData）。") from error


def _verify(signed_data: cms.SignedData, content: bytes) -> Signer:
    inner = signed_data["encap_content_info"]
    if inner["content_type"].native != "data":
        raise _invalid("签名内容的类型不正确。")
    if not isinstance(inner["content"], core.Void) and inner["content"].native is not None:
        raise _invalid("签名中夹带了内容，须使用分离式签名。")
    if len(signed_data["signer_infos"]) != 1:
        raise _invalid("签名须恰有一个签名者。")
    signer_info = signed_data["signer_infos"][0]
    digest = signer_info["digest_algorithm"]["algorithm"].native
    if digest not in DIGESTS:
        raise _invalid("签名使用的摘要算法不被接受，须为 SHA-256 或更强的算法。")
    algorithm = signer_info["signature_algorithm"]
    if algorithm.signature_algo not in _SIGNATURES:
        raise _invalid("签名算法不被接受。")
    if algorithm.signature_algo in {"rsassa_pkcs1v15", "ecdsa"}:
        named = algorithm["algorithm"].native
        if named not in {"rsassa_pkcs1v15", "ecdsa"} and algorithm.hash_algo not in DIGESTS:
            raise _invalid("签名使用的摘要算法不被接受，须为 SHA-256 或更强的算法。")
    if not isinstance(signer_info["signed_attrs"], cms.CMSAttributes):
        raise _invalid("签名缺少签名属性。")
    found: SignedDataCerts = extract_certificate_info(signed_data)
    require_strength(found.signer_cert, "signature_invalid")
    actual = hashlib.new(digest, content).digest()
    intact, valid = validate_sig_integrity(signer_info, found.signer_cert, "data", actual)
    if not (intact and valid):
        raise _invalid("签名与登录文本不符。")
    _require_message_digest(signer_info, actual)
    return Signer(found.signer_cert, tuple(found.other_certs))


def _require_message_digest(signer_info: cms.SignerInfo, actual: bytes) -> None:
    """Look at messageDigest (RFC 5652 §11.2) once more ourselves: all else hangs on it."""
    values = [
        value.native
        for attribute in signer_info["signed_attrs"]
        if attribute["type"].native == "message_digest"
        for value in attribute["values"]
    ]
    if len(values) != 1 or not hmac.compare_digest(values[0], actual):
        raise _invalid("签名与登录文本不符。")


def require_strength(certificate: x509.Certificate, code: str) -> None:
    """Refuse keys below RSA 2048 or P-256 with `code`."""
    key = certificate.public_key
    bits = int(key.bit_size)
    if (key.algorithm == "rsa" and bits < _RSA_BITS) or (key.algorithm == "ec" and bits < _EC_BITS):
        raise PortalRefusal(code, "证书的密钥强度不足，已拒绝。")


def _invalid(why: str) -> PortalRefusal:
    return PortalRefusal("signature_invalid", f"签名无效：{why}")
