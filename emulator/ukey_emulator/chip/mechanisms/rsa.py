"""RSA: PKCS#1 v1.5, PSS, OAEP and key pairs (PKCS#11 3.2 §6.1)."""

import secrets
import struct

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.padding import AsymmetricPadding
from cryptography.hazmat.primitives.asymmetric.utils import NoDigestInfo, Prehashed

from ukey_emulator.chip.keys import Material
from ukey_emulator.chip.keys import rsa as keys
from ukey_emulator.chip.objects.kinds import as_integer, as_number, integer
from ukey_emulator.chip.refusal import Refusal
from ukey_emulator.terms import CKA, CKF, CKK, CKM, CKR, CKZ

from .base import (
    Ciphering,
    Mechanism,
    Parameter,
    Recovery,
    Signer,
    Verifier,
    flat_parameter,
    no_parameter,
)
from .digests import algorithm, mask_algorithm
from .messages import message
from .oaep import OaepPadding

_SIZES = (keys.MIN_USED_BITS, keys.MAX_USED_BITS)
_PKCS1_OVERHEAD = 11
_LIBRARY_OAEP = {"sha1", "sha224", "sha256", "sha384", "sha512"}
_PSS_PARAMETERS = struct.Struct("<QQQ")

EVERY_USE = (
    CKF.SIGN
    | CKF.VERIFY
    | CKF.SIGN_RECOVER
    | CKF.VERIFY_RECOVER
    | CKF.ENCRYPT
    | CKF.DECRYPT
    | CKF.WRAP
    | CKF.UNWRAP
    | CKF.ENCAPSULATE
    | CKF.DECAPSULATE
)
"""All that an RSA key can do, which PKCS#1 v1.5 and X.509 both do (PKCS#11 3.2 §6.1.1)."""


class RsaSigner:
    """An RSA signature under way."""

    def __init__(
        self,
        key: rsa.RSAPrivateKey,
        pad: AsymmetricPadding,
        scheme: Prehashed | NoDigestInfo,
        hashed_with: hashes.HashAlgorithm | None,
    ) -> None:
        self._key = key
        self._pad = pad
        self._scheme = scheme
        self._message = message(hashed_with)
        self.update = self._message.update
        self.length = (key.key_size + 7) // 8

    def finish(self) -> bytes:
        """Give the signature."""
        data = self._message.finish()
        _refuse_length(data, self._scheme, self.length)
        return self._key.sign(data, self._pad, self._scheme)


class RsaVerifier:
    """An RSA verification under way."""

    def __init__(
        self,
        key: rsa.RSAPublicKey,
        pad: AsymmetricPadding,
        scheme: Prehashed | NoDigestInfo,
        hashed_with: hashes.HashAlgorithm | None,
    ) -> None:
        self._key = key
        self._pad = pad
        self._scheme = scheme
        self._message = message(hashed_with)
        self.update = self._message.update
        self._length = (key.key_size + 7) // 8

    def finish(self, signature: bytes) -> None:
        """Judge the signature."""
        data = self._message.finish()
        _refuse_length(data, self._scheme, self._length)
        if len(signature) != self._length:
            raise Refusal(CKR.SIGNATURE_LEN_RANGE, f"a signature has {self._length} bytes")
        try:
            if isinstance(self._scheme, NoDigestInfo):
                # OpenSSL finds an empty message in a signature, but does not verify it.
                right = self._key.recover_data_from_signature(signature, self._pad, None) == data
            else:
                self._key.verify(signature, data, self._pad, self._scheme)
                right = True
        except InvalidSignature:
            right = False
        if not right:
            raise Refusal(CKR.SIGNATURE_INVALID)


def _refuse_length(data: bytes, scheme: Prehashed | NoDigestInfo, modulus: int) -> None:
    if isinstance(scheme, NoDigestInfo):
        if len(data) > modulus - _PKCS1_OVERHEAD:
            raise Refusal(CKR.DATA_LEN_RANGE, "longer than the modulus leaves room for")
    elif len(data) != scheme.digest_size:
        raise Refusal(CKR.DATA_LEN_RANGE, f"the digest has {scheme.digest_size} bytes")


class _Rsa(Mechanism):
    key_types = (CKK.RSA,)


class _Encapsulating(_Rsa):
    """RSA that encapsulates by making a secret and wrapping it (§6.1.6, §6.1.8)."""

    def encapsulate(
        self, key: Material, parameter: Parameter, length: int | None
    ) -> tuple[bytes, bytes]:
        """Make a secret of `length` bytes, which has to be said (CKR_TEMPLATE_INCOMPLETE)."""
        if length is None:
            raise Refusal(CKR.TEMPLATE_INCOMPLETE, "how long the secret shall be is missing")
        secret = secrets.token_bytes(length)
        return secret, self.wrap(key, secret, parameter)

    def ciphertext_length(self, key: Material) -> int:
        """Give the length of the modulus."""
        return (public_key(key).key_size + 7) // 8

    def decapsulate(
        self, key: Material, parameter: Parameter, ciphertext: bytes, length: int | None
    ) -> bytes:
        """Unwrap the secret; CKR_WRAPPED_KEY_LEN_RANGE if it is not as long as wanted."""
        secret = self.unwrap(key, ciphertext, parameter)
        if length not in (None, len(secret)):
            raise Refusal(CKR.WRAPPED_KEY_LEN_RANGE, f"the secret has {len(secret)} bytes")
        return secret


class Pkcs1(_Encapsulating):
    """PKCS#1 v1.5: signatures over what the program gives, encryption (§6.1.6)."""

    flags = EVERY_USE

    def sign_recover(self, key: Material, parameter: Parameter) -> Signer:
        """Begin a signature that holds its message, which is every one of this kind."""
        return self.sign(key, parameter)

    def recover(self, key: Material, parameter: Parameter) -> Recovery:
        """Begin taking the message out of a signature."""
        no_parameter(parameter)
        return Pkcs1Recovery(public_key(key))

    def sign(self, key: Material, parameter: Parameter) -> Signer:
        """Begin a signature over a DigestInfo, or whatever else fits."""
        no_parameter(parameter)
        return RsaSigner(private_key(key), padding.PKCS1v15(), NoDigestInfo(), None)

    def verify(self, key: Material, parameter: Parameter) -> Verifier:
        """Begin the verification of such a signature."""
        no_parameter(parameter)
        return RsaVerifier(public_key(key), padding.PKCS1v15(), NoDigestInfo(), None)

    def encrypt(self, key: Material, parameter: Parameter) -> Ciphering:
        """Begin an encryption of up to eleven bytes less than the modulus."""
        no_parameter(parameter)
        return RsaEncryption(public_key(key), padding.PKCS1v15(), _PKCS1_OVERHEAD)

    def wrap(self, key: Material, data: bytes, parameter: Parameter) -> bytes:
        """Wrap a short key."""
        return wrap_by(self.encrypt(key, parameter), data)

    def decrypt(self, key: Material, parameter: Parameter) -> Ciphering:
        """Begin a decryption.

        A ciphertext without true padding gives a message that looks random, always the same one
        for this ciphertext, and no CKR_ENCRYPTED_DATA_INVALID: an answer that tells the two apart
        is all that Bleichenbacher's attack needs. OpenSSL 3.2 and NSS reject so implicitly, and
        with them the tokens that are built on them.
        """
        no_parameter(parameter)
        return RsaDecryption(private_key(key), padding.PKCS1v15())


class Pkcs1Recovery:
    """A PKCS#1 v1.5 signature from which the message is taken."""

    def __init__(self, key: rsa.RSAPublicKey) -> None:
        self._key = key
        self._length = (key.key_size + 7) // 8
        self.length = self._length - _PKCS1_OVERHEAD

    def recover(self, signature: bytes) -> bytes:
        """Give the message."""
        if len(signature) != self._length:
            raise Refusal(CKR.SIGNATURE_LEN_RANGE, f"a signature has {self._length} bytes")
        try:
            return self._key.recover_data_from_signature(signature, padding.PKCS1v15(), None)
        except InvalidSignature:
            raise Refusal(CKR.SIGNATURE_INVALID) from None


class Pkcs1Hashed(_Rsa):
    """PKCS#1 v1.5 signatures with the hash made on the key (§6.1.10)."""

    flags = CKF.SIGN | CKF.VERIFY

    def __init__(self, kind: CKM, hashed_with: CKM) -> None:
        super().__init__(kind, _SIZES)
        self._hash = algorithm(hashed_with)
        self._scheme = Prehashed(self._hash)

    def sign(self, key: Material, parameter: Parameter) -> Signer:
        """Begin a signature."""
        no_parameter(parameter)
        return RsaSigner(private_key(key), padding.PKCS1v15(), self._scheme, self._hash)

    def verify(self, key: Material, parameter: Parameter) -> Verifier:
        """Begin a verification."""
        no_parameter(parameter)
        return RsaVerifier(public_key(key), padding.PKCS1v15(), self._scheme, self._hash)


class Pss(_Rsa):
    """PSS over a digest that the program made, or with the hash made on the key (§6.1.9)."""

    flags = CKF.SIGN | CKF.VERIFY

    def __init__(self, kind: CKM, hashed_with: CKM | None = None) -> None:
        super().__init__(kind, _SIZES)
        self._hash = None if hashed_with is None else algorithm(hashed_with)

    def sign(self, key: Material, parameter: Parameter) -> Signer:
        """Begin a signature; the parameter is CK_RSA_PKCS_PSS_PARAMS."""
        private = private_key(key)
        pad, scheme = self._scheme(parameter, private.key_size)
        return RsaSigner(private, pad, scheme, self._hash)

    def verify(self, key: Material, parameter: Parameter) -> Verifier:
        """Begin a verification; the parameter is CK_RSA_PKCS_PSS_PARAMS."""
        public = public_key(key)
        pad, scheme = self._scheme(parameter, public.key_size)
        return RsaVerifier(public, pad, scheme, self._hash)

    def _scheme(self, parameter: Parameter, bits: int) -> tuple[AsymmetricPadding, Prehashed]:
        flat = flat_parameter(parameter, _PSS_PARAMETERS.size)
        hash_type, generator, salt_length = _PSS_PARAMETERS.unpack(flat)
        chosen = algorithm(hash_type)
        if self._hash is not None and chosen.name != self._hash.name:
            raise Refusal(CKR.MECHANISM_PARAM_INVALID, "the hash contradicts the mechanism")
        if salt_length > (bits + 6) // 8 - chosen.digest_size - 2:
            raise Refusal(CKR.MECHANISM_PARAM_INVALID, "no room for such a long salt")
        pad = padding.PSS(padding.MGF1(mask_algorithm(generator)), salt_length)
        return pad, Prehashed(chosen)


class Oaep(_Encapsulating):
    """OAEP encryption (§6.1.8)."""

    flags = CKF.ENCRYPT | CKF.DECRYPT | CKF.WRAP | CKF.UNWRAP | CKF.ENCAPSULATE | CKF.DECAPSULATE

    def encrypt(self, key: Material, parameter: Parameter) -> Ciphering:
        """Begin an encryption; the parameter is CK_RSA_PKCS_OAEP_PARAMS."""
        pad, chosen = self._scheme(parameter)
        return RsaEncryption(public_key(key), pad, 2 * chosen.digest_size + 2)

    def wrap(self, key: Material, data: bytes, parameter: Parameter) -> bytes:
        """Wrap a short key."""
        return wrap_by(self.encrypt(key, parameter), data)

    def decrypt(self, key: Material, parameter: Parameter) -> Ciphering:
        """Begin a decryption; the parameter is CK_RSA_PKCS_OAEP_PARAMS."""
        pad, _ = self._scheme(parameter)
        return RsaDecryption(private_key(key), pad)

    def _scheme(
        self, parameter: Parameter
    ) -> tuple[AsymmetricPadding | OaepPadding, hashes.HashAlgorithm]:
        match parameter:
            case (int(hash_type), int(generator), int(source), bytes() | None as label):
                pass
            case _:
                raise Refusal(CKR.MECHANISM_PARAM_INVALID, "CK_RSA_PKCS_OAEP_PARAMS expected")
        if source not in (0, CKZ.DATA_SPECIFIED) or (source == 0 and label):
            raise Refusal(CKR.MECHANISM_PARAM_INVALID, f"no label source {source:#x}")
        chosen, mask = algorithm(hash_type), mask_algorithm(generator)
        if {chosen.name, mask.name} <= _LIBRARY_OAEP:
            return padding.OAEP(padding.MGF1(mask), chosen, label or None), chosen
        return OaepPadding(chosen, mask, label or b""), chosen


class OneBlock:
    """An RSA operation of one block, which is done when the block is whole."""

    def __init__(self, bits: int) -> None:
        self._length = (bits + 7) // 8
        self._data = b""

    def room(self, length: int) -> int:
        """Give 0: nothing comes before the end."""
        del length
        return 0

    def update(self, data: bytes) -> bytes:
        """Take a part of the block."""
        self._data += data
        return b""

    def last(self, length: int = 0) -> int:
        """Give the length of the modulus, which no output exceeds."""
        del length
        return self._length


class RsaEncryption(OneBlock):
    """An RSA encryption under way."""

    exact = True

    def __init__(
        self, key: rsa.RSAPublicKey, pad: AsymmetricPadding | OaepPadding, overhead: int
    ) -> None:
        super().__init__(key.key_size)
        self._key = key
        self._pad = pad
        self._most = self._length - overhead

    def finish(self) -> bytes:
        """Give the ciphertext; CKR_DATA_LEN_RANGE if the plaintext is too long."""
        if len(self._data) > self._most:
            raise Refusal(CKR.DATA_LEN_RANGE, f"at most {self._most} bytes")
        if isinstance(self._pad, OaepPadding):
            return self._pad.encrypt(self._key, self._data)
        return self._key.encrypt(self._data, self._pad)


class RsaDecryption(OneBlock):
    """An RSA decryption under way."""

    exact = False

    def __init__(self, key: rsa.RSAPrivateKey, pad: AsymmetricPadding | OaepPadding) -> None:
        super().__init__(key.key_size)
        self._key = key
        self._pad = pad

    def finish(self) -> bytes:
        """Give the plaintext; CKR_ENCRYPTED_DATA_INVALID if that of OAEP is none."""
        if len(self._data) != self._length:
            raise Refusal(CKR.ENCRYPTED_DATA_LEN_RANGE, f"a ciphertext has {self._length} bytes")
        if isinstance(self._pad, OaepPadding):
            return self._pad.decrypt(self._key, self._data)
        try:
            return self._key.decrypt(self._data, self._pad)
        except ValueError:
            raise Refusal(CKR.ENCRYPTED_DATA_INVALID) from None


def wrap_by(encryption: Ciphering, data: bytes) -> bytes:
    """Wrap by encrypting; a key that is too long for the modulus is CKR_KEY_SIZE_RANGE."""
    try:
        return encryption.update(data) + encryption.finish()
    except Refusal as refusal:
        if refusal.code is not CKR.DATA_LEN_RANGE:
            raise
        raise Refusal(CKR.KEY_SIZE_RANGE, refusal.why) from None


class PairGeneration(_Rsa):
    """RSA key pairs (§6.1.4)."""

    flags = CKF.GENERATE_KEY_PAIR

    def generate_pair(
        self, wanted: dict[int, bytes], parameter: Parameter
    ) -> tuple[dict[int, bytes], dict[int, bytes], Material]:
        """Make a pair of CKA_MODULUS_BITS with CKA_PUBLIC_EXPONENT, 65537 if that is not given."""
        no_parameter(parameter)
        exponent = as_integer(wanted.get(CKA.PUBLIC_EXPONENT, integer(65537)))
        key = keys.generate(as_number(wanted[CKA.MODULUS_BITS]), exponent)
        return keys.public_attributes(key.public_key()), keys.private_attributes(key), key


def private_key(key: Material) -> rsa.RSAPrivateKey:
    """Take an RSA private key, else CKR_KEY_TYPE_INCONSISTENT."""
    if not isinstance(key, rsa.RSAPrivateKey):
        raise Refusal(CKR.KEY_TYPE_INCONSISTENT, "an RSA private key is needed")
    return key


def public_key(key: Material) -> rsa.RSAPublicKey:
    """Take an RSA public key, else CKR_KEY_TYPE_INCONSISTENT."""
    if not isinstance(key, rsa.RSAPublicKey):
        raise Refusal(CKR.KEY_TYPE_INCONSISTENT, "an RSA public key is needed")
    return key


MECHANISMS = (
    PairGeneration(CKM.RSA_PKCS_KEY_PAIR_GEN, (keys.MIN_BITS, keys.MAX_BITS)),
    Pkcs1(CKM.RSA_PKCS, _SIZES),
    Pkcs1Hashed(CKM.MD5_RSA_PKCS, CKM.MD5),
    Pkcs1Hashed(CKM.SHA1_RSA_PKCS, CKM.SHA_1),
    Pkcs1Hashed(CKM.SHA224_RSA_PKCS, CKM.SHA224),
    Pkcs1Hashed(CKM.SHA256_RSA_PKCS, CKM.SHA256),
    Pkcs1Hashed(CKM.SHA384_RSA_PKCS, CKM.SHA384),
    Pkcs1Hashed(CKM.SHA512_RSA_PKCS, CKM.SHA512),
    Pkcs1Hashed(CKM.SHA3_224_RSA_PKCS, CKM.SHA3_224),
    Pkcs1Hashed(CKM.SHA3_256_RSA_PKCS, CKM.SHA3_256),
    Pkcs1Hashed(CKM.SHA3_384_RSA_PKCS, CKM.SHA3_384),
    Pkcs1Hashed(CKM.SHA3_512_RSA_PKCS, CKM.SHA3_512),
    Pss(CKM.RSA_PKCS_PSS),
    Pss(CKM.SHA1_RSA_PKCS_PSS, CKM.SHA_1),
    Pss(CKM.SHA224_RSA_PKCS_PSS, CKM.SHA224),
    Pss(CKM.SHA256_RSA_PKCS_PSS, CKM.SHA256),
    Pss(CKM.SHA384_RSA_PKCS_PSS, CKM.SHA384),
    Pss(CKM.SHA512_RSA_PKCS_PSS, CKM.SHA512),
    Pss(CKM.SHA3_224_RSA_PKCS_PSS, CKM.SHA3_224),
    Pss(CKM.SHA3_256_RSA_PKCS_PSS, CKM.SHA3_256),
    Pss(CKM.SHA3_384_RSA_PKCS_PSS, CKM.SHA3_384),
    Pss(CKM.SHA3_512_RSA_PKCS_PSS, CKM.SHA3_512),
    Oaep(CKM.RSA_PKCS_OAEP, _SIZES),
)
