"""Objects as a card makes them: the templates of its keys and certificates."""

from collections.abc import Iterator

from ukey_emulator.chip.objects.kinds import FALSE, TRUE, boolean, number
from ukey_emulator.terms import CKA, CKC, CKO

from .held import ATTESTATION, RETIRED, SLOTS, Algorithm, PinPolicy

_NO_USE = (False, False, False)
_RSA = (Algorithm.RSA_1024, Algorithm.RSA_2048, Algorithm.RSA_3072, Algorithm.RSA_4096)

# As OpenSC calls them.
_LABELS = dict(
    zip(
        SLOTS,
        (
            "PIV AUTH key",
            "SIGN key",
            "KEY MAN key",
            "CARD AUTH key",
            *(f"Retired KEY MAN {count}" for count, _ in enumerate(RETIRED, 1)),
            "Attestation key",
        ),
        strict=True,
    )
)
_CERTIFICATES = dict(
    zip(
        SLOTS,
        (
            "Certificate for PIV Authentication",
            "Certificate for Digital Signature",
            "Certificate for Key Management",
            "Certificate for Card Authentication",
            *(
                f"Retired Certificate for Key Management {count}"
                for count, _ in enumerate(RETIRED, 1)
            ),
            "Certificate for Attestation",
        ),
        strict=True,
    )
)

Template = Iterator[tuple[int, bytes]]


def public_key(slot: int, algorithm: Algorithm, ident: bytes) -> Template:
    """Describe the public key of a slot."""
    signs, deciphers, agrees = map(boolean, _uses(algorithm))
    yield from _named(ident, _LABELS[slot])
    yield from ((CKA.PRIVATE, FALSE), (CKA.VERIFY, signs), (CKA.DERIVE, agrees))
    yield from ((use, deciphers) for use in (CKA.ENCRYPT, CKA.WRAP, CKA.VERIFY_RECOVER))


def private_key(slot: int, algorithm: Algorithm, ident: bytes, policy: PinPolicy) -> Template:
    """Describe the private key of a slot, which never leaves it.

    With the one that attests no program does anything: he could attest whatever he likes.
    """
    attests = slot == ATTESTATION
    signs, deciphers, agrees = map(boolean, _NO_USE if attests else _uses(algorithm))
    if attests:
        yield from ((CKA.MODIFIABLE, FALSE), (CKA.COPYABLE, FALSE))
    yield from _named(ident, _LABELS[slot])
    yield from ((CKA.SENSITIVE, TRUE), (CKA.EXTRACTABLE, FALSE))
    yield CKA.PRIVATE, boolean(policy is not PinPolicy.NEVER)
    yield CKA.ALWAYS_AUTHENTICATE, boolean(policy is PinPolicy.ALWAYS)
    yield from ((CKA.SIGN, signs), (CKA.DERIVE, agrees))
    yield from ((use, deciphers) for use in (CKA.DECRYPT, CKA.UNWRAP, CKA.SIGN_RECOVER))


def certificate(slot: int, ident: bytes, subject: bytes, value: bytes) -> Template:
    """Describe the certificate of a slot."""
    yield from _named(ident, _CERTIFICATES[slot])
    yield from ((CKA.CLASS, number(CKO.CERTIFICATE)), (CKA.CERTIFICATE_TYPE, number(CKC.X_509)))
    yield from ((CKA.PRIVATE, FALSE), (CKA.SUBJECT, subject), (CKA.VALUE, value))


def _named(ident: bytes, label: str) -> Template:
    yield from ((CKA.TOKEN, TRUE), (CKA.ID, ident), (CKA.LABEL, label.encode()))


def _uses(algorithm: Algorithm) -> tuple[bool, bool, bool]:
    """Tell whether keys of an algorithm sign, decipher and agree on secrets."""
    if algorithm in _RSA:
        return True, True, False
    return algorithm is not Algorithm.X25519, False, algorithm is not Algorithm.ED25519
