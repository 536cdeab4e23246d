"""A key made of software, for tests: the port `Token`, with objects that can break at any step.

Every act on an object (reading the list, making, writing, signing, labelling, destroying) is one
step. `break_at` names the step that fails; with `lose_answer` it is done, and then fails, as when
a key is pulled out just after the act.
"""

from dataclasses import dataclass, field
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from ukey_client.errors import KeyAbsent, TokenRemoved
from ukey_client.token import HeldCertificate, Holding, Pair, PinLimits, PinState

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

SEAL = b"\x89PNG the seal"


def key_id(key: PrivateKey) -> bytes:
    return x509.SubjectKeyIdentifier.from_public_key(key.public_key()).digest


@dataclass
class SoftwareToken:
    private: dict[bytes, tuple[PrivateKey, str]] = field(default_factory=dict)
    public: dict[bytes, str] = field(default_factory=dict)
    certs: dict[bytes, tuple[bytes, str]] = field(default_factory=dict)
    data: dict[str, bytes] = field(default_factory=lambda: {"电子印章": SEAL})
    next_keys: list[PrivateKey] = field(default_factory=list)
    label: str = "ukey-soft"
    serial: str = "0001"
    model: str = "software"
    logged_in: bool = True
    has_own_pin_entry: bool = False
    steps: int = 0
    break_at: int | None = None
    lose_answer: bool = False

    def holds(self, key: PrivateKey, certificate: x509.Certificate, label: str) -> HeldCertificate:
        """Put a pair and its certificate onto the key, outside of the counted steps."""
        id_ = key_id(key)
        self.private[id_] = (key, label)
        self.public[id_] = label
        self.certs[id_] = (certificate.public_bytes(Encoding.DER), label)
        return HeldCertificate(id_, label, self.certs[id_][0])

    def mend(self) -> None:
        """Plug the key in again."""
        self.break_at = None

    # --- the port ---------------------------------------------------------------------------

    def certificates(self) -> list[HeldCertificate]:
        return [one for one in self._all_certificates() if one.id in self.private]

    def authorities(self) -> list[x509.Certificate]:
        return []

    def certificate_by_id(self, id_: bytes) -> HeldCertificate | None:
        return next((one for one in self._all_certificates() if one.id == id_), None)

    def holdings(self) -> list[Holding]:
        with self._step():
            held = {one.id: one for one in self._certificates()}
            return [
                Holding(
                    id_,
                    held.get(id_),
                    id_ in self.private,
                    frozenset(
                        label
                        for label in (
                            self.private[id_][1] if id_ in self.private else None,
                            self.public.get(id_),
                        )
                        if label is not None
                    ),
                )
                for id_ in sorted({*self.private, *self.public, *self.certs})
            ]

    def pin_state(self) -> PinState:
        return PinState(None, low=False, final_try=False, locked=False)

    def pin_limits(self) -> PinLimits:
        return PinLimits(None, None)

    def login(self, pin: str | None) -> None:
        raise NotImplementedError

    def logout(self) -> None:
        raise NotImplementedError

    def change_pin(self, old: str, new: str) -> None:
        raise NotImplementedError

    def sign(self, certificate: HeldCertificate, data: bytes, digest: str = "sha256") -> bytes:
        return self.sign_with(certificate.id, data, digest)

    def sign_with(self, id_: bytes, data: bytes, digest: str = "sha256") -> bytes:
        assert digest == "sha256"
        with self._step():
            if id_ not in self.private:
                raise KeyAbsent(id_.hex())
            key = self.private[id_][0]
            if isinstance(key, rsa.RSAPrivateKey):
                return key.sign(data, padding.PKCS1v15(), hashes.SHA256())
            return key.sign(data, ec.ECDSA(hashes.SHA256()))

    def seal_picture(self) -> bytes | None:
        return self.data.get("电子印章")

    def generate_pair(self, like: HeldCertificate, label: str | None = None) -> Pair:
        public = like.certificate.public_key()
        key: PrivateKey
        if self.next_keys:
            key = self.next_keys.pop(0)
        elif isinstance(public, rsa.RSAPublicKey):
            key = rsa.generate_private_key(65537, public.key_size)
        else:
            assert isinstance(public, ec.EllipticCurvePublicKey)
            key = ec.generate_private_key(public.curve)
        label = label or like.label
        with self._step():
            self.public[key_id(key)] = label
        with self._step():
            self.private[key_id(key)] = (key, label)
        return Pair(key_id(key), key.public_key())

    def install_certificate(self, der: bytes, id_: bytes, label: str) -> HeldCertificate:
        with self._step():
            self.certs[id_] = (der, label)
        return next(one for one in self._all_certificates() if one.id == id_)

    def relabel(self, id_: bytes, label: str) -> None:
        if id_ in self.private:
            with self._step():
                self.private[id_] = (self.private[id_][0], label)
        if id_ in self.public:
            with self._step():
                self.public[id_] = label
        if id_ in self.certs:
            with self._step():
                self.certs[id_] = (self.certs[id_][0], label)

    def remove(self, id_: bytes) -> None:
        for objects in (self.private, self.public, self.certs):
            if id_ in objects:
                with self._step():
                    objects.pop(id_)  # type: ignore[attr-defined]

    def close(self) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    # --- breaking ---------------------------------------------------------------------------

    def _all_certificates(self) -> list[HeldCertificate]:
        with self._step():
            return self._certificates()

    def _certificates(self) -> list[HeldCertificate]:
        return [HeldCertificate(id_, label, der) for id_, (der, label) in self.certs.items()]

    def _step(self) -> "_Step":
        self.steps += 1
        return _Step(self)

    @property
    def broken(self) -> bool:
        return self.break_at is not None and self.steps >= self.break_at


class _Step:
    def __init__(self, token: SoftwareToken) -> None:
        self.token = token
        # From the breaking step on, the key has gone: nothing works until it is mended.
        self.last = token.steps == token.break_at

    def __enter__(self) -> None:
        if self.token.broken and not (self.last and self.token.lose_answer):
            raise TokenRemoved

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None and self.last and self.token.lose_answer:
            raise TokenRemoved
