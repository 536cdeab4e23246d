"""Making keys (PKCS#11 3.2 §5.18.1, §5.18.2): KM, first part."""

from ukey_harness.cases.case import Section
from ukey_harness.cases.pkcs11.encrypt import ECB, GENERATED
from ukey_harness.cases.pkcs11.keys import (
    IV,
    More,
    aes,
    aes_template,
    ec_templates,
    rsa,
    rsa_templates,
)
from ukey_harness.cases.pkcs11.needs import mechanism
from ukey_harness.cases.pkcs11.objects import BOGUS, without
from ukey_harness.cases.pkcs11.stand import Stand, number, truth
from ukey_harness.cryptoki.arguments import Cell, Mechanism, Room, Template
from ukey_harness.cryptoki.names import CKA, CKF, CKK, CKM, CKO, NOBODY

keys_made = Section("PKCS#11 3.2", "Making keys")

RSA_PAIR = mechanism(CKM.RSA_PKCS_KEY_PAIR_GEN, use=CKF.GENERATE_KEY_PAIR)
EC_PAIR = mechanism(CKM.EC_KEY_PAIR_GEN, use=CKF.GENERATE_KEY_PAIR)
BAD_CURVE = bytes.fromhex("06052a03040506")  # an object identifier that names no curve


def generated(stand: Stand, session: int, pairs: More, kind: int = CKM.AES_KEY_GEN) -> str:
    """C_GenerateKey; return its name."""
    return stand.rv("GenerateKey", session, Mechanism(kind), Template(pairs), Cell())


def paired(stand: Stand, session: int, kind: int, public: More, private: More) -> str:
    """C_GenerateKeyPair; return its name."""
    templates = Template(public), Template(private)
    return stand.rv("GenerateKeyPair", session, Mechanism(kind), *templates, Cell(), Cell())


@keys_made.case(
    "KM-01",
    "5.18.1",
    "An AES key without a length is incomplete.",
    "TEMPLATE_INCOMPLETE",
    needs=(GENERATED,),
)
def _km_01(stand: Stand) -> str:
    return generated(stand, stand.user(), without(aes_template(), CKA.VALUE_LEN))


@keys_made.case(
    "KM-02",
    "5.18.1",
    "An AES key has no length that AES does not have.",
    "ATTRIBUTE_VALUE_INVALID",
    allow=("KEY_SIZE_RANGE | TEMPLATE_INCONSISTENT",),
    needs=(GENERATED,),
)
def _km_02(stand: Stand) -> str:
    return generated(stand, stand.user(), aes_template(size=7))


@keys_made.case(
    "KM-03",
    "5.18.1",
    "A key type that is not the mechanism's contradicts it.",
    "TEMPLATE_INCONSISTENT",
    needs=(GENERATED,),
)
def _km_03(stand: Stand) -> str:
    return generated(stand, stand.user(), aes_template({CKA.KEY_TYPE: CKK.DES3}))


@keys_made.case(
    "KM-04",
    "5.18.1",
    "A class that is not the mechanism's contradicts it.",
    "TEMPLATE_INCONSISTENT",
    needs=(GENERATED,),
)
def _km_04(stand: Stand) -> str:
    return generated(stand, stand.user(), aes_template({CKA.CLASS: CKO.DATA}))


@keys_made.case(
    "KM-05",
    "5.18.1",
    "A key that was generated is local, and knows its mechanism.",
    "yes, AES_KEY_GEN",
    needs=(GENERATED,),
)
def _km_05(stand: Stand) -> tuple[str, str]:
    session = stand.user()
    key = aes(stand, session)
    _, values = stand.attributes(session, key, CKA.LOCAL, CKA.KEY_GEN_MECHANISM)
    kind = number(values[1])
    return truth(values[0]), "AES_KEY_GEN" if kind == CKM.AES_KEY_GEN else str(kind)


@keys_made.case(
    "KM-06",
    "4.11",
    "Whether a key was always sensitive and never extractable follows from how it was generated.",
    "yes, yes, no, no",
    needs=(GENERATED,),
)
def _km_06(stand: Stand) -> tuple[str, ...]:
    session = stand.user()
    kinds = CKA.ALWAYS_SENSITIVE, CKA.NEVER_EXTRACTABLE
    shut = aes(stand, session, {CKA.SENSITIVE: True, CKA.EXTRACTABLE: False})
    return *stand.truths(session, shut, *kinds), *stand.truths(session, aes(stand, session), *kinds)


@keys_made.case(
    "KM-07",
    "5.18.1",
    "A key that is generated does not take its value from the template.",
    "TEMPLATE_INCONSISTENT",
    allow=("ATTRIBUTE_READ_ONLY | ATTRIBUTE_TYPE_INVALID",),
    needs=(GENERATED,),
)
def _km_07(stand: Stand) -> str:
    return generated(stand, stand.user(), aes_template({CKA.VALUE: bytes(16)}))


@keys_made.case(
    "KM-08",
    "5.18.1",
    "No key is generated onto the token in a read-only session.",
    "SESSION_READ_ONLY, 0",
    needs=(GENERATED,),
)
def _km_08(stand: Stand) -> tuple[str | int, ...]:
    session = stand.user(write=False)
    return generated(stand, session, aes_template({CKA.TOKEN: True})), stand.labelled(session)


@keys_made.case(
    "KM-09",
    "5.18.1",
    "No private key object is generated without the user's login.",
    "USER_NOT_LOGGED_IN, 0",
    needs=(GENERATED,),
)
def _km_09(stand: Stand) -> tuple[str | int, ...]:
    session = stand.session()
    name = generated(stand, session, aes_template({CKA.PRIVATE: True}))
    stand.enter(session)
    return name, stand.labelled(session)


@keys_made.case(
    "KM-10",
    "5.18.1",
    "A mechanism that generates no key is refused, known or unknown.",
    "MECHANISM_INVALID, MECHANISM_INVALID",
    needs=(ECB,),
)
def _km_10(stand: Stand) -> tuple[str, str]:
    session = stand.user()
    return (
        generated(stand, session, aes_template(), NOBODY),
        generated(stand, session, aes_template(), CKM.AES_ECB),
    )


@keys_made.case(
    "KM-11",
    "5.18.2",
    "An RSA pair without a size is incomplete.",
    "TEMPLATE_INCOMPLETE",
    needs=(RSA_PAIR,),
)
def _km_11(stand: Stand) -> str:
    public, private = rsa_templates(stand)
    public = without(public, CKA.MODULUS_BITS)
    return paired(stand, stand.user(), CKM.RSA_PKCS_KEY_PAIR_GEN, public, private)


@keys_made.case(
    "KM-12",
    "5.18.2",
    "Both keys of a pair are local, and a private key that was made sensitive always was.",
    "yes, yes, yes, yes",
    needs=(RSA_PAIR,),
)
def _km_12(stand: Stand) -> tuple[str, ...]:
    session = stand.user()
    public, private = rsa(stand, session)
    kinds = CKA.LOCAL, CKA.SENSITIVE, CKA.ALWAYS_SENSITIVE
    return *stand.truths(session, public, CKA.LOCAL), *stand.truths(session, private, *kinds)


@keys_made.case(
    "KM-13",
    "5.18.2",
    "A pair whose private template is refused has no public key either.",
    "refused, 0",
    needs=(EC_PAIR,),
)
def _km_13(stand: Stand) -> tuple[str | int, ...]:
    session = stand.user()
    public, private = ec_templates({BOGUS: b"x"})
    name = paired(stand, session, CKM.EC_KEY_PAIR_GEN, public, private)
    return "refused" if name != "OK" else name, stand.labelled(session)


@keys_made.case(
    "KM-14",
    "5.18.2",
    "A curve that the token does not know is refused.",
    "CURVE_NOT_SUPPORTED",
    allow=("ATTRIBUTE_VALUE_INVALID | DOMAIN_PARAMS_INVALID | TEMPLATE_INCONSISTENT",),
    needs=(EC_PAIR,),
)
def _km_14(stand: Stand) -> str:
    public, private = ec_templates(public={CKA.EC_PARAMS: BAD_CURVE})
    return paired(stand, stand.user(), CKM.EC_KEY_PAIR_GEN, public, private)


@keys_made.case(
    "KM-15",
    "5.18.2",
    "An RSA key of a size outside of the mechanism's is refused.",
    "ATTRIBUTE_VALUE_INVALID",
    allow=("KEY_SIZE_RANGE | TEMPLATE_INCONSISTENT",),
    needs=(RSA_PAIR,),
)
def _km_15(stand: Stand) -> str:
    public, private = rsa_templates(stand, public={CKA.MODULUS_BITS: 64})
    return paired(stand, stand.user(), CKM.RSA_PKCS_KEY_PAIR_GEN, public, private)


@keys_made.case(
    "KM-16",
    "6.1.2",
    "The modulus of a pair is given by both of its keys, and is as long as was asked for.",
    "OK, OK, same, as long",
    needs=(RSA_PAIR,),
)
def _km_16(stand: Stand) -> tuple[str, ...]:
    session = stand.user()
    public, private = rsa(stand, session)
    first, shown = stand.attributes(
        session, public, CKA.MODULUS, CKA.PUBLIC_EXPONENT, CKA.MODULUS_BITS
    )
    second, held = stand.attributes(session, private, CKA.MODULUS)
    bits = int.from_bytes(shown[0] or b"", "big").bit_length()
    right = number(shown[2]) == bits and shown[1] == b"\1\0\1"
    same = shown[0] == held[0] and shown[0] is not None
    return first, second, "same" if same else "differ", "as long" if right else f"{bits} bits"


@keys_made.case(
    "KM-17",
    "6.1.3",
    "The private exponent of a sensitive key is not told.",
    "ATTRIBUTE_SENSITIVE, none",
    needs=(RSA_PAIR,),
)
def _km_17(stand: Stand) -> tuple[str, str]:
    session = stand.user()
    name, values = stand.attributes(session, rsa(stand, session)[1], CKA.PRIVATE_EXPONENT)
    return name, "none" if values[0] is None else "given"


@keys_made.case(
    "KM-35",
    "4.8",
    "A key whose mechanisms are listed works with those, and with no other.",
    "OK, MECHANISM_INVALID",
    allow=("OK, KEY_FUNCTION_NOT_PERMITTED",),
    needs=(ECB, mechanism(CKM.AES_CBC, use=CKF.ENCRYPT)),
)
def _km_35(stand: Stand) -> tuple[str, str]:
    session = stand.user()
    key = aes(stand, session, {CKA.ALLOWED_MECHANISMS: [CKM.AES_CBC]})
    first = stand.rv("EncryptInit", session, Mechanism(CKM.AES_CBC, IV), key)
    stand.rv("Encrypt", session, bytes(16), Room())
    return first, stand.rv("EncryptInit", session, Mechanism(CKM.AES_ECB), key)


@keys_made.case(
    "KM-36",
    "4.11",
    "The check value of a key, if it has one, begins a block of zeros that the key has encrypted.",
    "same",
    allow=("none",),
    needs=(ECB,),
)
def _km_36(stand: Stand) -> str:
    session = stand.user()
    key = aes(stand, session)
    name, values = stand.attributes(session, key, CKA.CHECK_VALUE)
    if name == "ATTRIBUTE_TYPE_INVALID" or not values[0]:
        return "none" if name in {"OK", "ATTRIBUTE_TYPE_INVALID"} else name
    block = stand.done("Encrypt", session, CKM.AES_ECB, key, bytes(16))
    return "same" if values[0] == block[:3] else "another value"


@keys_made.case(
    "KM-41",
    "5.18.1",
    "A key whose generation failed is not there.",
    "refused, 0",
    needs=(GENERATED,),
)
def _km_41(stand: Stand) -> tuple[str | int, ...]:
    session = stand.user()
    name = generated(stand, session, aes_template({BOGUS: b"x"}))
    return "refused" if name != "OK" else name, stand.labelled(session)
