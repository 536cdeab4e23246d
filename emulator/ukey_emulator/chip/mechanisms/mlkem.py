"""ML-KEM (PKCS#11 3.2 §6.67, FIPS 203)."""

from ukey_emulator.chip.keys import Material
from ukey_emulator.chip.keys import mlkem as keys
from ukey_emulator.chip.refusal import Refusal
from ukey_emulator.terms import CKF, CKK, CKM, CKR

from .base import Mechanism, Parameter, no_parameter
from .blockciphers import leading


class PairGeneration(Mechanism):
    """ML-KEM pairs of the parameter set that CKA_PARAMETER_SET names."""

    flags = CKF.GENERATE_KEY_PAIR
    key_types = (CKK.ML_KEM,)

    def generate_pair(
        self, wanted: dict[int, bytes], parameter: Parameter
    ) -> tuple[dict[int, bytes], dict[int, bytes], Material]:
        """Make a pair."""
        no_parameter(parameter)
        public, private = keys.FAMILY.generate(wanted)
        return public, private, keys.load_private(private)


class MlKem(Mechanism):
    """Encapsulation of a secret of 32 bytes, of which a key can have the first ones."""

    flags = CKF.ENCAPSULATE | CKF.DECAPSULATE
    key_types = (CKK.ML_KEM,)

    def encapsulate(
        self, key: Material, parameter: Parameter, length: int | None
    ) -> tuple[bytes, bytes]:
        """Make a secret and its ciphertext."""
        no_parameter(parameter)
        secret, ciphertext = _public(key).encapsulate()
        return leading(secret, length), ciphertext

    def ciphertext_length(self, key: Material) -> int:
        """Give the length of a ciphertext."""
        return _public(key).chosen.parameters.ciphertext_length

    def decapsulate(
        self, key: Material, parameter: Parameter, ciphertext: bytes, length: int | None
    ) -> bytes:
        """Give the secret; of a ciphertext that is none, one that nobody knows (FIPS 203 §6.3)."""
        no_parameter(parameter)
        if not isinstance(key, keys.MlKemPrivate):
            raise Refusal(CKR.UNWRAPPING_KEY_TYPE_INCONSISTENT, "an ML-KEM private key is needed")
        wanted = key.chosen.parameters.ciphertext_length
        if len(ciphertext) != wanted:
            raise Refusal(CKR.WRAPPED_KEY_LEN_RANGE, f"a ciphertext has {wanted} bytes")
        return leading(key.decapsulate(ciphertext), length)


def _public(key: Material) -> keys.MlKemPublic:
    if not isinstance(key, keys.MlKemPublic):
        raise Refusal(CKR.KEY_TYPE_INCONSISTENT, "an ML-KEM public key is needed")
    return key


MECHANISMS = (
    PairGeneration(CKM.ML_KEM_KEY_PAIR_GEN, keys.SIZES),
    MlKem(CKM.ML_KEM, keys.SIZES),
)
