"""One side of the comparison: a process with one module in it, which measures what it is told to.

Reads a line of JSON for each measure from standard input, answers with a number on standard
output: `{"measure": "rsa", "seconds": 1}` with signatures a second, `{"measure": "fresh"}` with
seconds.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pkcs11
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from pkcs11 import Attribute, KeyType, Mechanism
from pkcs11.util.ec import encode_named_curve_parameters
from pkcs11.util.rsa import decode_rsa_private_key, decode_rsa_public_key
from pkcs11.util.x509 import decode_x509_certificate

from ukey_emulator.remote import Remote
from ukey_harness.cryptoki.module import Module

PIN, SO_PIN = "123456", "12345678"
CKU_SO, CKF_TOKEN_INITIALIZED = 0, 0x400
MESSAGE = b"what was shown is what was signed"
DER = serialization.Encoding.DER


class Emulated:
    """Fresh keys of the rack that UKEY_HOME names."""

    def __init__(self) -> None:
        self._remote = Remote(Path(os.environ["UKEY_HOME"]))

    def new(self, label: str) -> None:
        """Make a key, initialised and with its PIN."""
        self._remote.new_key(name=label, label=label, pin=PIN, so_pin=SO_PIN)

    def done(self, label: str) -> None:
        """Remove a key, as the fixture does after each test."""
        self._remote.remove(label)


class Soft:
    """Fresh tokens of SoftHSM2, by the shortest way there is: C_InitToken and C_InitPIN."""

    def __init__(self, path: str) -> None:
        self._module = Module(path)

    def new(self, label: str) -> None:
        """Initialise the free slot's token and set its PIN."""
        module = self._module
        slot = next(each for each in reversed(module.slots()) if not self._initialized(each))
        module.init_token(slot, SO_PIN, label)
        session = module.open_session(slot, write=True)
        module.login(session, CKU_SO, SO_PIN)
        module.init_pin(session, PIN)
        module.must("CloseSession", session)

    def done(self, label: str) -> None:
        """Leave the token: PKCS#11 has no call that removes one."""

    def _initialized(self, slot: int) -> bool:
        told = self._module.structure("GetTokenInfo", "CK_TOKEN_INFO", slot)
        return bool(told.flags & CKF_TOKEN_INITIALIZED)


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


class Bench:
    """The measures, on one module."""

    def __init__(self, module: str, maker: Callable[[], Emulated | Soft]) -> None:
        self._library = pkcs11.lib(module)
        self._keys = maker()
        self._holding = Holding()
        self._made = 0
        self._token = self._fresh_token()
        self._session = self._token.open(rw=True, user_pin=PIN)
        _, self._rsa = self._session.generate_keypair(KeyType.RSA, 2048)
        curve = {Attribute.EC_PARAMS: encode_named_curve_parameters("secp256r1")}
        domain = self._session.create_domain_parameters(KeyType.EC, curve, local=True)
        _, self._p256 = domain.generate_keypair()

    def _fresh_token(self) -> pkcs11.Token:
        self._made += 1
        label = f"bench-{os.getpid()}-{self._made}"
        self._keys.new(label)
        return self._library.get_token(token_label=label)

    def rsa(self, seconds: float) -> float:
        """Sign with RSA-2048, SHA-256 and PKCS#1 v1.5: signatures a second."""
        return self._rate(
            lambda: self._rsa.sign(MESSAGE, mechanism=Mechanism.SHA256_RSA_PKCS), seconds
        )

    def p256(self, seconds: float) -> float:
        """Sign a hash with P-256: signatures a second."""
        return self._rate(lambda: self._p256.sign(bytes(32), mechanism=Mechanism.ECDSA), seconds)

    def fresh(self, seconds: float) -> float:
        """Make a fresh key, log in, import pair and certificate: seconds until it can sign."""
        del seconds
        start = time.perf_counter()
        token = self._fresh_token()
        with token.open(rw=True, user_pin=PIN) as session:
            private, *_ = [session.create_object(each) for each in self._holding.objects]
            took = time.perf_counter() - start
            private.sign(MESSAGE, mechanism=Mechanism.SHA256_RSA_PKCS)  # it was ready
        self._keys.done(token.label)
        return took

    @staticmethod
    def _rate(act: Callable[[], object], seconds: float) -> float:
        count, start = 0, time.perf_counter()
        end = start + seconds
        while (now := time.perf_counter()) < end:
            act()
            count += 1
        return count / (now - start)


def main() -> None:
    """Serve measures until standard input ends."""
    side, module = sys.argv[1:]
    bench = Bench(module, Emulated if side == "ukey" else lambda: Soft(module))
    for line in sys.stdin:
        asked: dict[str, Any] = json.loads(line)
        answer = getattr(bench, asked.pop("measure"))(asked.get("seconds", 0))
        with suppress(BrokenPipeError):
            print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
