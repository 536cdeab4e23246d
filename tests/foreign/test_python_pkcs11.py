"""python-pkcs11 as judge; what it makes is checked by the cryptography library."""

import hashlib
from collections.abc import Iterator
from contextlib import suppress

import asn1crypto.core
import pkcs11
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from little_authority import DER, LittleAuthority
from pkcs11 import MGF, Attribute, KeyType, Mechanism, ObjectClass, TokenFlag
from pkcs11.util.ec import (
    encode_ec_public_key,
    encode_ecdsa_signature,
    encode_named_curve_parameters,
)
from pkcs11.util.rsa import decode_rsa_private_key, encode_rsa_public_key
from token_under_test import TokenUnderTest

MESSAGE = b"what was shown is what was signed"
PSS = {
    hashes.SHA256: (Mechanism.SHA256_RSA_PKCS_PSS, Mechanism.SHA256, MGF.SHA256, 32),
    hashes.SHA384: (Mechanism.SHA384_RSA_PKCS_PSS, Mechanism.SHA384, MGF.SHA384, 48),
    hashes.SHA512: (Mechanism.SHA512_RSA_PKCS_PSS, Mechanism.SHA512, MGF.SHA512, 64),
}


@pytest.fixture
def slot_token(library: pkcs11.lib, token: TokenUnderTest) -> pkcs11.Token:
    return library.get_token(token_label=token.label)


@pytest.fixture
def session(slot_token: pkcs11.Token, token: TokenUnderTest) -> Iterator[pkcs11.Session]:
    with slot_token.open(rw=True, user_pin=token.pin) as session:
        yield session


def ec_pair(
    session: pkcs11.Session, curve: str, **words: object
) -> tuple[pkcs11.PublicKey, pkcs11.PrivateKey]:
    parameters = {Attribute.EC_PARAMS: encode_named_curve_parameters(curve)}
    domain = session.create_domain_parameters(KeyType.EC, parameters, local=True)
    pair: tuple[pkcs11.PublicKey, pkcs11.PrivateKey] = domain.generate_keypair(**words)
    return pair


def rsa_public(key: pkcs11.PublicKey) -> rsa.RSAPublicKey:
    public_key = serialization.load_der_public_key(encode_rsa_public_key(key))
    assert isinstance(public_key, rsa.RSAPublicKey)
    return public_key


def test_the_token_says_what_it_is(slot_token: pkcs11.Token, token: TokenUnderTest) -> None:
    assert slot_token.label == token.label
    for flag in (TokenFlag.TOKEN_INITIALIZED, TokenFlag.USER_PIN_INITIALIZED, TokenFlag.RNG):
        assert flag in slot_token.flags
    assert TokenFlag.USER_PIN_LOCKED not in slot_token.flags
    slot = slot_token.slot
    assert slot.cryptoki_version >= (2, 40)
    mechanisms = slot.get_mechanisms()
    assert {Mechanism.SHA256_RSA_PKCS, Mechanism.ECDSA, Mechanism.AES_GCM} <= mechanisms
    for mechanism in mechanisms:
        if isinstance(mechanism, Mechanism):
            slot.get_mechanism_info(mechanism)
    lengths = slot.get_mechanism_info(Mechanism.RSA_PKCS_KEY_PAIR_GEN)
    assert lengths.min_key_length <= 2048
    assert lengths.max_key_length >= 4096


@pytest.mark.parametrize("digest", [hashes.SHA256, hashes.SHA384, hashes.SHA512])
def test_rsa_signs(session: pkcs11.Session, digest: type[hashes.HashAlgorithm]) -> None:
    public, private = session.generate_keypair(KeyType.RSA, 2048)
    checker = rsa_public(public)
    mechanism = Mechanism[f"{digest.name.upper()}_RSA_PKCS"]
    signature = private.sign(MESSAGE, mechanism=mechanism)
    checker.verify(signature, MESSAGE, padding.PKCS1v15(), digest())
    assert public.verify(MESSAGE, signature, mechanism=mechanism)
    assert not public.verify(MESSAGE + b"!", signature, mechanism=mechanism)

    mechanism, hashed, mask, salt = PSS[digest]
    parameters = {"mechanism": mechanism, "mechanism_param": (hashed, mask, salt)}
    signature = private.sign(MESSAGE, **parameters)
    checker.verify(signature, MESSAGE, padding.PSS(padding.MGF1(digest()), salt), digest())
    assert public.verify(MESSAGE, signature, **parameters)
    assert not public.verify(MESSAGE, bytes(256), **parameters)


def test_rsa_signs_raw_and_in_parts(session: pkcs11.Session) -> None:
    public, private = session.generate_keypair(KeyType.RSA, 2048)
    prefix = bytes.fromhex("3031300d060960864801650304020105000420")
    signature = private.sign(
        prefix + hashlib.sha256(MESSAGE).digest(), mechanism=Mechanism.RSA_PKCS
    )
    rsa_public(public).verify(signature, MESSAGE, padding.PKCS1v15(), hashes.SHA256())
    parts = (MESSAGE[at : at + 5] for at in range(0, len(MESSAGE), 5))
    assert private.sign(parts, mechanism=Mechanism.SHA256_RSA_PKCS) == signature
    with pytest.raises(pkcs11.PKCS11Error):
        private.sign(bytes(300), mechanism=Mechanism.RSA_PKCS)


@pytest.mark.parametrize("bits", [3072, 4096])
def test_longer_rsa_keys_are_made(session: pkcs11.Session, bits: int) -> None:
    public, private = session.generate_keypair(KeyType.RSA, bits)
    assert public.key_length == bits
    signature = private.sign(MESSAGE, mechanism=Mechanism.SHA256_RSA_PKCS)
    rsa_public(public).verify(signature, MESSAGE, padding.PKCS1v15(), hashes.SHA256())


@pytest.mark.parametrize(
    ("curve", "digest"),
    [
        ("secp256r1", hashes.SHA256()),
        ("secp384r1", hashes.SHA384()),
        ("secp521r1", hashes.SHA512()),
    ],
)
def test_ecdsa_signs(session: pkcs11.Session, curve: str, digest: hashes.HashAlgorithm) -> None:
    public, private = ec_pair(session, curve)
    checker = serialization.load_der_public_key(encode_ec_public_key(public))
    assert isinstance(checker, ec.EllipticCurvePublicKey)
    hashed = hashlib.new(digest.name, MESSAGE).digest()
    signature = private.sign(hashed, mechanism=Mechanism.ECDSA)
    checker.verify(encode_ecdsa_signature(signature), MESSAGE, ec.ECDSA(digest))
    assert public.verify(hashed, signature, mechanism=Mechanism.ECDSA)
    other = hashlib.new(digest.name, b"another").digest()
    assert not public.verify(other, signature, mechanism=Mechanism.ECDSA)
    with pytest.raises(InvalidSignature):
        checker.verify(encode_ecdsa_signature(signature), b"another", ec.ECDSA(digest))


def test_ecdsa_hashes_on_the_token(session: pkcs11.Session) -> None:
    """SoftHSM2 2.6.1 cannot."""
    public, private = ec_pair(session, "secp256r1")
    checker = serialization.load_der_public_key(encode_ec_public_key(public))
    assert isinstance(checker, ec.EllipticCurvePublicKey)
    signature = private.sign(MESSAGE, mechanism=Mechanism.ECDSA_SHA256)
    checker.verify(encode_ecdsa_signature(signature), MESSAGE, ec.ECDSA(hashes.SHA256()))


def test_an_imported_key_signs(session: pkcs11.Session) -> None:
    key = rsa.generate_private_key(65537, 2048)
    encoded = key.private_bytes(
        DER, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    attributes = decode_rsa_private_key(encoded)
    attributes |= {Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False}
    private = session.create_object({**attributes, Attribute.LABEL: "imported"})
    signature = private.sign(MESSAGE, mechanism=Mechanism.SHA256_RSA_PKCS)
    key.public_key().verify(signature, MESSAGE, padding.PKCS1v15(), hashes.SHA256())
    assert private[Attribute.SENSITIVE]
    with pytest.raises(pkcs11.AttributeSensitive):
        private[Attribute.PRIVATE_EXPONENT]


def test_aes_encrypts(session: pkcs11.Session) -> None:
    key = session.generate_key(
        KeyType.AES, 256, template={Attribute.SENSITIVE: False, Attribute.EXTRACTABLE: True}
    )
    iv, nonce = session.generate_random(128), session.generate_random(96)
    secret = key.encrypt(MESSAGE, mechanism_param=iv)
    assert len(secret) == 48
    assert key.decrypt(secret, mechanism_param=iv) == MESSAGE

    parameters = pkcs11.GCMParams(nonce, b"bound", 128)
    secret = key.encrypt(MESSAGE, mechanism=Mechanism.AES_GCM, mechanism_param=parameters)
    assert AESGCM(key[Attribute.VALUE]).decrypt(nonce, secret, b"bound") == MESSAGE
    opened = key.decrypt(secret, mechanism=Mechanism.AES_GCM, mechanism_param=parameters)
    assert opened == MESSAGE
    broken = bytes([secret[0] ^ 1]) + secret[1:]
    with pytest.raises(pkcs11.PKCS11Error):
        key.decrypt(broken, mechanism=Mechanism.AES_GCM, mechanism_param=parameters)


@pytest.mark.parametrize("name", ["SHA_1", "SHA256", "SHA384", "SHA512"])
def test_digests(session: pkcs11.Session, name: str) -> None:
    expected = hashlib.new(name.replace("_", ""), MESSAGE).digest()
    assert session.digest(MESSAGE, mechanism=Mechanism[name]) == expected
    parts = iter([MESSAGE[:7], MESSAGE[7:]])
    assert session.digest(parts, mechanism=Mechanism[name]) == expected


def test_random_bytes_differ(session: pkcs11.Session) -> None:
    with suppress(pkcs11.RandomSeedNotSupported):  # PKCS#11 3.2 §5.16.1: a token may refuse it
        session.seed_random(b"seed")
    assert session.generate_random(256) != session.generate_random(256)
    assert len(session.generate_random(8 * 5000)) == 5000


def test_objects_are_found_by_what_they_are(session: pkcs11.Session) -> None:
    ec_pair(session, "secp256r1", id=b"\x01", label="first", store=True)
    ec_pair(session, "secp256r1", id=b"\x02", label="second", store=True)
    assert len(list(session.get_objects())) == 4
    assert len(list(session.get_objects({Attribute.ID: b"\x02"}))) == 2
    (found,) = session.get_objects(
        {Attribute.LABEL: "second", Attribute.CLASS: ObjectClass.PRIVATE_KEY}
    )
    assert found.id == b"\x02"
    assert found.key_type is KeyType.EC
    key = session.get_key(object_class=ObjectClass.PUBLIC_KEY, label="first")
    assert key.id == b"\x01"
    assert not list(session.get_objects({Attribute.LABEL: "third"}))
    with pytest.raises(pkcs11.NoSuchKey):
        session.get_key(label="third")
    with pytest.raises(pkcs11.MultipleObjectsReturned):
        session.get_key(object_class=ObjectClass.PRIVATE_KEY)


def test_many_objects_are_all_found(session: pkcs11.Session) -> None:
    for number in range(120):
        session.create_object(
            {
                Attribute.CLASS: ObjectClass.DATA,
                Attribute.LABEL: f"note {number}",
                Attribute.VALUE: number.to_bytes(2),
            }
        )
    found = session.get_objects({Attribute.CLASS: ObjectClass.DATA})
    assert sorted(each[Attribute.VALUE] for each in found) == [n.to_bytes(2) for n in range(120)]


def test_attributes_are_changed_copied_and_destroyed(session: pkcs11.Session) -> None:
    public, private = ec_pair(session, "secp256r1", id=b"\x01", label="first", store=True)
    private[Attribute.LABEL] = "某某公司"
    private[Attribute.ID] = b"\x09"
    assert private[Attribute.LABEL] == "某某公司"
    (found,) = session.get_objects({Attribute.LABEL: "某某公司"})
    assert found.id == b"\x09"
    copy = public.copy({Attribute.LABEL: "copy", Attribute.TOKEN: False})
    assert copy[Attribute.EC_POINT] == public[Attribute.EC_POINT]
    assert not copy[Attribute.TOKEN]
    public.destroy()
    assert [
        each.label for each in session.get_objects({Attribute.CLASS: ObjectClass.PUBLIC_KEY})
    ] == ["copy"]


def test_token_objects_stay_and_session_objects_go(
    slot_token: pkcs11.Token, token: TokenUnderTest, authority: LittleAuthority
) -> None:
    with slot_token.open(rw=True, user_pin=token.pin) as session:
        ec_pair(session, "secp256r1", label="gone")
        _, private = ec_pair(session, "secp256r1", id=b"\x01", label="kept", store=True)
        assert private[Attribute.TOKEN]
        leaf = authority.issuing
        session.create_object(
            {
                Attribute.CLASS: ObjectClass.CERTIFICATE,
                Attribute.CERTIFICATE_TYPE: pkcs11.CertificateType.X_509,
                Attribute.TOKEN: True,
                Attribute.ID: b"\x01",
                Attribute.LABEL: "kept",
                Attribute.SUBJECT: leaf.subject.public_bytes(),
                Attribute.ISSUER: leaf.issuer.public_bytes(),
                Attribute.SERIAL_NUMBER: asn1crypto.core.Integer(leaf.serial_number).dump(),
                Attribute.VALUE: leaf.public_bytes(DER),
            }
        )
    with slot_token.open() as session:  # not logged in: nothing private is seen
        classes = {each.object_class for each in session.get_objects()}
        assert classes == {ObjectClass.PUBLIC_KEY, ObjectClass.CERTIFICATE}
        (certificate,) = session.get_objects({Attribute.CLASS: ObjectClass.CERTIFICATE})
        assert certificate[Attribute.VALUE] == leaf.public_bytes(DER)
    with slot_token.open(user_pin=token.pin) as session:
        key = session.get_key(object_class=ObjectClass.PRIVATE_KEY)
        assert key.label == "kept"
        key.sign(bytes(32), mechanism=Mechanism.ECDSA)


def test_wrong_pins_are_refused(slot_token: pkcs11.Token, token: TokenUnderTest) -> None:
    # python-pkcs11 leaves a session open where the login failed: a read-only one would stop the SO.
    for wrong in ("000000", "1234567", "12345"):
        with pytest.raises(pkcs11.PinIncorrect):
            slot_token.open(rw=True, user_pin=wrong)
    with slot_token.open(rw=True, user_pin=token.pin):
        pass
    with pytest.raises(pkcs11.PinIncorrect):
        slot_token.open(rw=True, so_pin="00000000")


def test_nothing_private_is_made_without_login(slot_token: pkcs11.Token) -> None:
    with slot_token.open(rw=True) as session, pytest.raises(pkcs11.UserNotLoggedIn):
        session.generate_keypair(KeyType.RSA, 2048, store=True)


def test_a_read_only_session_writes_no_token_object(
    slot_token: pkcs11.Token, token: TokenUnderTest
) -> None:
    with slot_token.open(user_pin=token.pin) as session:
        with pytest.raises(pkcs11.SessionReadOnly):
            session.create_object(
                {
                    Attribute.CLASS: ObjectClass.DATA,
                    Attribute.TOKEN: True,
                    Attribute.LABEL: "note",
                    Attribute.VALUE: b"value",
                }
            )
        assert not list(session.get_objects())


def test_pins_are_set_by_user_and_so(slot_token: pkcs11.Token, token: TokenUnderTest) -> None:
    with slot_token.open(rw=True, user_pin=token.pin) as session:
        session.set_pin(token.pin, "654321")
    with pytest.raises(pkcs11.PinIncorrect):
        slot_token.open(rw=True, user_pin=token.pin)
    with slot_token.open(rw=True, user_pin="654321"):
        pass
    with slot_token.open(rw=True, so_pin=token.so_pin) as session:
        session.init_pin("112233")
    with slot_token.open(rw=True, user_pin="112233"):
        pass


def test_two_sessions_at_once_share_the_login(
    slot_token: pkcs11.Token, token: TokenUnderTest
) -> None:
    with slot_token.open(rw=True, user_pin=token.pin) as first:
        with slot_token.open() as second:
            ec_pair(first, "secp256r1", label="shared", store=True)
            key = second.get_key(object_class=ObjectClass.PRIVATE_KEY, label="shared")
            key.sign(bytes(32), mechanism=Mechanism.ECDSA)
            with pytest.raises(pkcs11.UserAlreadyLoggedIn):
                slot_token.open(user_pin=token.pin)
        assert list(first.get_objects())
