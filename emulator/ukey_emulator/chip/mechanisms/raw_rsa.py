"""RSA without padding, CKM_RSA_X_509 (PKCS#11 3.2 §6.1.11)."""

import secrets

from cryptography.hazmat.primitives.asymmetric import rsa

from ukey_emulator.chip.keys import Material
from ukey_emulator.chip.keys import rsa as keys
from ukey_emulator.chip.refusal import Refusal
from ukey_emulator.terms import CKD, CKK, CKM, CKR

from .base import Ciphering, Mechanism, Parameter, Recovery, Signer, Verifier, no_parameter
from .ecdh import spread
from .messages import Gathered
from .rsa import EVERY_USE, private_key, public_key, wrap_by


class Raw:
    """One exponentiation under way: whatever comes is a number below the modulus."""

    exact = True

    def __init__(self, key: rsa.RSAPrivateKey | rsa.RSAPublicKey, too_long: CKR) -> None:
        self._key = key
        self._too_long = too_long
        self._message = Gathered()
        self.length = (key.key_size + 7) // 8

    def room(self, length: int) -> int:
        """Give 0: nothing comes before the end."""
        return 0 * length

    def update(self, data: bytes) -> bytes:
        """Take a part."""
        self._message.update(data)
        return b""

    def last(self, length: int = 0) -> int:
        """Give the length of the modulus."""
        return self.length + 0 * length

    def finish(self) -> bytes:
        """Give the power, as long as the modulus."""
        data = self._message.finish()
        if len(data) > self.length:
            raise Refusal(self._too_long, f"at most {self.length} bytes")
        number = int.from_bytes(data, "big")
        if isinstance(self._key, rsa.RSAPrivateKey):
            public = self._key.public_key().public_numbers()
            power = keys.private_power(self._key, _below(number, public.n, self._too_long))
        else:
            public = self._key.public_numbers()
            power = pow(_below(number, public.n, self._too_long), public.e, public.n)
        return power.to_bytes(self.length, "big")


def _below(number: int, modulus: int, code: CKR) -> int:
    if number >= modulus:
        raise Refusal(code, "not below the modulus")
    return number


class RawVerifier:
    """A raw signature to be judged."""

    def __init__(self, key: rsa.RSAPublicKey) -> None:
        self._key = key
        self._message = Gathered()
        self.update = self._message.update

    def finish(self, signature: bytes) -> None:
        """Judge the signature: it raised to the public exponent is the message."""
        length = (self._key.key_size + 7) // 8
        if len(signature) != length:
            raise Refusal(CKR.SIGNATURE_LEN_RANGE, f"a signature has {length} bytes")
        power = Raw(self._key, CKR.SIGNATURE_INVALID)
        power.update(signature)
        if power.finish() != self._message.finish().rjust(length, b"\0"):
            raise Refusal(CKR.SIGNATURE_INVALID)


class RawRecovery:
    """A raw signature from which the message is taken."""

    def __init__(self, key: rsa.RSAPublicKey) -> None:
        self._key = key
        self.length = (key.key_size + 7) // 8

    def recover(self, signature: bytes) -> bytes:
        """Give the message, as long as the modulus."""
        if len(signature) != self.length:
            raise Refusal(CKR.SIGNATURE_LEN_RANGE, f"a signature has {self.length} bytes")
        power = Raw(self._key, CKR.SIGNATURE_INVALID)
        power.update(signature)
        return power.finish()


class X509(Mechanism):
    """All that RSA does, with the padding left to the program."""

    flags = EVERY_USE
    key_types = (CKK.RSA,)
    prefixed = True

    def wrap(self, key: Material, data: bytes, parameter: Parameter) -> bytes:
        """Wrap a key that is shorter than the modulus, else CKR_KEY_SIZE_RANGE."""
        return wrap_by(self.encrypt(key, parameter), data)

    def encapsulate(
        self, key: Material, parameter: Parameter, length: int | None
    ) -> tuple[bytes, bytes]:
        """Make a number below the modulus and raise it (SP 800-56B §7.2.1, RSASVE)."""
        no_parameter(parameter)
        public = public_key(key).public_numbers()
        size = self.ciphertext_length(key)
        number = secrets.randbelow(public.n - 3) + 2
        ciphertext = pow(number, public.e, public.n).to_bytes(size, "big")
        return spread(number.to_bytes(size, "big"), CKD.NULL, None, length), ciphertext

    def ciphertext_length(self, key: Material) -> int:
        """Give the length of the modulus."""
        return (public_key(key).key_size + 7) // 8

    def decapsulate(
        self, key: Material, parameter: Parameter, ciphertext: bytes, length: int | None
    ) -> bytes:
        """Give the number; CKR_WRAPPED_KEY_LEN_RANGE for a ciphertext of another length."""
        private = private_key(key)
        if len(ciphertext) != (private.key_size + 7) // 8:
            raise Refusal(CKR.WRAPPED_KEY_LEN_RANGE, "not as long as the modulus")
        secret = self.unwrap(key, ciphertext, parameter)
        return spread(secret, CKD.NULL, None, length)

    def sign(self, key: Material, parameter: Parameter) -> Signer:
        """Begin a signature."""
        no_parameter(parameter)
        return _Signing(private_key(key))

    def sign_recover(self, key: Material, parameter: Parameter) -> Signer:
        """Begin a signature that holds its message, which is every one of this kind."""
        return self.sign(key, parameter)

    def verify(self, key: Material, parameter: Parameter) -> Verifier:
        """Begin a verification."""
        no_parameter(parameter)
        return RawVerifier(public_key(key))

    def recover(self, key: Material, parameter: Parameter) -> Recovery:
        """Begin taking the message out of a signature."""
        no_parameter(parameter)
        return RawRecovery(public_key(key))

    def encrypt(self, key: Material, parameter: Parameter) -> Ciphering:
        """Begin an encryption."""
        no_parameter(parameter)
        return Raw(public_key(key), CKR.DATA_LEN_RANGE)

    def decrypt(self, key: Material, parameter: Parameter) -> Ciphering:
        """Begin a decryption."""
        no_parameter(parameter)
        return Raw(private_key(key), CKR.ENCRYPTED_DATA_LEN_RANGE)


class _Signing:
    def __init__(self, key: rsa.RSAPrivateKey) -> None:
        self._power = Raw(key, CKR.DATA_LEN_RANGE)
        self.length = self._power.length

    def update(self, data: bytes) -> None:
        self._power.update(data)

    def finish(self) -> bytes:
        return self._power.finish()


MECHANISMS = (X509(CKM.RSA_X_509, (keys.MIN_USED_BITS, keys.MAX_USED_BITS)),)
