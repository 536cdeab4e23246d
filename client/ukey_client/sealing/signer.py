"""The key on the token as pyHanko's signer."""

from collections.abc import Sequence

from asn1crypto import x509 as asn1_x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from pyhanko.sign.signers import Signer
from pyhanko_certvalidator.registry import SimpleCertificateStore

from ukey_client.errors import KeyUnsuitable
from ukey_client.token import HeldCertificate, Token


class TokenSigner(Signer):
    """Signs with the certificate's private key on the token, which must be logged in by then."""

    def __init__(self, token: Token, certificate: HeldCertificate, chain: Sequence[bytes]) -> None:
        """`chain` holds the DER of the authorities' certificates to embed."""
        store = SimpleCertificateStore()  # type: ignore[no-untyped-call]
        store.register_multiple([asn1_x509.Certificate.load(der) for der in chain])
        super().__init__(
            signing_cert=asn1_x509.Certificate.load(certificate.der), cert_registry=store
        )
        self._token = token
        self._held = certificate

    async def async_sign_raw(
        self,
        data: bytes,
        digest_algorithm: str,
        dry_run: bool = False,  # noqa: FBT001, FBT002 - pyHanko's signature
    ) -> bytes:
        """Sign, or give as many bytes as a signature may have; only the former uses the key."""
        if dry_run:
            return bytes(_longest_signature(self._held))
        return self._token.sign(self._held, data, digest_algorithm)


def _longest_signature(certificate: HeldCertificate) -> int:
    key = certificate.certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        return (key.key_size + 7) // 8
    if isinstance(key, ec.EllipticCurvePublicKey):
        # SEQUENCE of two INTEGERs, each with a sign byte, headers of up to three bytes.
        return 2 * ((key.curve.key_size + 7) // 8 + 4) + 3
    raise KeyUnsuitable(type(key).__name__)
