"""Signing as programs do it, through python-pkcs11, and fresh keys to sign with."""

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pkcs11
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from pkcs11 import Attribute, KeyType, Mechanism
from pkcs11.util.ec import encode_named_curve_parameters
from pkcs11.util.rsa import decode_rsa_private_key, decode_rsa_public_key
from pkcs11.util.x509 import decode_x509_certificate
from tokens import PIN, Emulated, Soft

MESSAGE = b"what was shown is what was signed"
DER = serialization.Encoding.DER


class Holding:
    """What is put on each fresh key: a pair that is the same for both sides, and a certificate."""

    def __init__(self) -> None:
        key = rsa.generate_private_key(65537, 2048)
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "bench")])
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
            .not_valid_before(now)
            .not_valid_after(now + timedelta(days=1))
            .sign(key, hashes.SHA256())
        )
        private = key.private_bytes(
            DER, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
        public = key.public_key().public_bytes(DER, serialization.PublicFormat.PKCS1)
        named = {Attribute.TOKEN: True, Attribute.ID: b"\1", Attribute.LABEL: "bench"}
        hidden = {Attribute.PRIVATE: True, Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False}
        self.objects = (
            decode_rsa_private_key(private) | named | hidden,
            decode_rsa_public_key(public) | named,
            decode_x509_certificate(certificate.public_bytes(DER)) | named,
        )


class Signing:
    """A token with an RSA and a P-256 key, and the measures on it."""

    def __init__(self, module: str, maker: Callable[[], Emulated | Soft]) -> None:
        self._library = pkcs11.lib(module)
        self._keys = maker()
        self._holding = Holding()
        self._made = 0
        self._token = self._fresh_token()
        self.label = self._token.label
        self._session = self._token.open(rw=True, user_pin=PIN)
        stored = {Attribute.TOKEN: True, Attribute.LABEL: "signer"}
        _, self._rsa = self._session.generate_keypair(
            KeyType.RSA, 2048, private_template=stored, public_template=stored
        )
        curve = {Attribute.EC_PARAMS: encode_named_curve_parameters("secp256r1")}
        domain = self._session.create_domain_parameters(KeyType.EC, curve, local=True)
        _, self._p256 = domain.generate_keypair()

    def _fresh_token(self) -> pkcs11.Token:
        self._made += 1
        label = f"bench-{os.getpid()}-{self._made}"
        self._keys.new(label)
        return self._library.get_token(token_label=label)

    def rsa(self) -> None:
        """Sign with RSA-2048, SHA-256 and PKCS#1 v1.5."""
        self._rsa.sign(MESSAGE, mechanism=Mechanism.SHA256_RSA_PKCS)

    def p256(self) -> None:
        """Sign a hash with P-256."""
        self._p256.sign(bytes(32), mechanism=Mechanism.ECDSA)

    def fresh(self) -> float:
        """Make a fresh key, log in, import pair and certificate: seconds until it can sign."""
        start = time.perf_counter()
        token = self._fresh_token()
        with token.open(rw=True, user_pin=PIN) as session:
            private, *_ = [session.create_object(each) for each in self._holding.objects]
            took = time.perf_counter() - start
            private.sign(MESSAGE, mechanism=Mechanism.SHA256_RSA_PKCS)  # it was ready
        self._keys.done(token.label)
        return took


class Joined:
    """Another program that signs with the RSA key of a token that is there."""

    def __init__(self, module: str, label: str) -> None:
        token = pkcs11.lib(module).get_token(token_label=label)
        session = token.open(user_pin=PIN)
        self._rsa = session.get_key(object_class=pkcs11.ObjectClass.PRIVATE_KEY, label="signer")

    def rsa(self) -> None:
        """Sign with RSA-2048, SHA-256 and PKCS#1 v1.5."""
        self._rsa.sign(MESSAGE, mechanism=Mechanism.SHA256_RSA_PKCS)
