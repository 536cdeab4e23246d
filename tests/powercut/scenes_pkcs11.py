"""What programs do to a key through PKCS#11 while its power is cut."""

from collections.abc import Iterator

from bench import DATA, NEW_PIN, NEW_SO_PIN, WRONG, Bench, blank, pair, scene
from program import P256, PIN, ROOM, SO_PIN, attributes

from ukey_emulator.cryptoki.wire import Mechanism
from ukey_emulator.terms import CKM, CKO, CKR, CKU

# PINs


@scene("pins")
def right_pin(bench: Bench) -> Iterator[None]:
    program = bench.program
    session = program.open()
    yield
    program.C_Login(session, CKU.USER, PIN)
    yield


@scene("pins")
def wrong_pins_till_it_is_blocked(bench: Bench) -> Iterator[None]:
    program = bench.program
    session = program.open()
    yield
    for _ in range(2):
        assert program.rv("C_Login", session, CKU.USER, WRONG) == CKR.PIN_INCORRECT
        yield
    assert program.rv("C_Login", session, CKU.USER, PIN) == CKR.PIN_LOCKED
    yield


@scene("pins")
def wrong_so_pins_till_it_is_blocked(bench: Bench) -> Iterator[None]:
    program = bench.program
    session = program.open()
    yield
    for _ in range(2):
        assert program.rv("C_Login", session, CKU.SO, WRONG) == CKR.PIN_INCORRECT
        yield
    assert program.rv("C_Login", session, CKU.SO, SO_PIN) == CKR.PIN_LOCKED
    yield


@scene("pins")
def pin_changed_by_the_user(bench: Bench) -> Iterator[None]:
    program = bench.program
    session = program.open()
    yield
    assert program.rv("C_SetPIN", session, WRONG, NEW_PIN) == CKR.PIN_INCORRECT
    yield
    program.C_SetPIN(session, PIN, NEW_PIN)
    yield
    program.C_Login(session, CKU.USER, NEW_PIN)
    yield


@scene("pins")
def pin_changed_by_the_so(bench: Bench) -> Iterator[None]:
    program = bench.program
    session = program.open(user=CKU.SO)
    yield
    assert program.rv("C_SetPIN", session, WRONG, NEW_SO_PIN) == CKR.PIN_INCORRECT
    yield
    program.C_SetPIN(session, SO_PIN, NEW_SO_PIN)
    yield


@scene("pins")
def pin_unblocked_by_the_so(bench: Bench) -> Iterator[None]:
    program = bench.program
    session = program.open()
    for _ in range(4):
        program.rv("C_Login", session, CKU.USER, WRONG)
    program.C_Login(session, CKU.SO, SO_PIN)
    yield
    program.C_InitPIN(session, NEW_PIN)
    yield


# The token


@scene("token")
def token_initialised_again(bench: Bench) -> Iterator[None]:
    program = bench.program
    yield
    assert program.rv("C_InitToken", 0, WRONG, b"wrong".ljust(32)) == CKR.PIN_INCORRECT
    yield
    program.C_InitToken(0, SO_PIN, b"anew".ljust(32))
    yield


@scene("token", blank)
def token_initialised_for_the_first_time(bench: Bench) -> Iterator[None]:
    program = bench.program
    yield
    program.C_InitToken(0, SO_PIN, b"first".ljust(32))
    yield
    session = program.open(user=CKU.SO)
    yield
    program.C_InitPIN(session, PIN)
    yield


# Objects


@scene("objects")
def objects_created(bench: Bench) -> Iterator[None]:
    program = bench.program
    session = program.open(user=CKU.USER)
    yield
    for private in (False, True):
        wanted = attributes(**DATA, PRIVATE=private, LABEL="new", VALUE="3")
        program.C_CreateObject(session, wanted, True)
        yield


@scene("objects")
def large_object_created(bench: Bench) -> Iterator[None]:
    program = bench.program
    session = program.open(user=CKU.USER)
    yield
    wanted = attributes(**DATA, PRIVATE=True, LABEL="large", VALUE=bytes(20_000))
    program.C_CreateObject(session, wanted, True)
    yield


@scene("objects")
def attributes_changed(bench: Bench) -> Iterator[None]:
    program = bench.program
    session = program.open(user=CKU.USER)
    yield
    for wanted in ({"LABEL": "open"}, {"LABEL": "pair", "CLASS": int(CKO.PRIVATE_KEY)}):
        (found,) = program.find(session, **wanted)
        program.C_SetAttributeValue(session, found, attributes(LABEL="x" * 5000))
        yield


@scene("objects")
def objects_copied(bench: Bench) -> Iterator[None]:
    program = bench.program
    session = program.open(user=CKU.USER)
    (found,) = program.find(session, LABEL="open")
    yield
    for private in (False, True):
        wanted = attributes(LABEL="copy", PRIVATE=private)
        program.C_CopyObject(session, found, wanted, True)
        yield


@scene("objects")
def objects_destroyed(bench: Bench) -> Iterator[None]:
    program = bench.program
    session = program.open(user=CKU.USER)
    found = [
        *program.find(session, CLASS=int(CKO.DATA)),
        *program.find(session, CLASS=int(CKO.PRIVATE_KEY)),
    ]
    yield
    for each in found:
        program.C_DestroyObject(session, each)
        yield


@scene("keys")
def rsa_pair_generated(bench: Bench) -> Iterator[None]:
    program = bench.program
    session = program.open(user=CKU.USER)
    yield
    pair(program, session, CKM.RSA_PKCS_KEY_PAIR_GEN, MODULUS_BITS=1024)
    yield


@scene("keys")
def ec_pair_generated(bench: Bench) -> Iterator[None]:
    program = bench.program
    session = program.open(user=CKU.USER)
    yield
    pair(program, session, CKM.EC_KEY_PAIR_GEN, EC_PARAMS=P256)
    yield


@scene("keys")
def aes_key_generated_and_unwrapped(bench: Bench) -> Iterator[None]:
    program = bench.program
    session = program.open(user=CKU.USER)
    yield
    secret = {"TOKEN": True, "PRIVATE": True, "VALUE_LEN": 32, "EXTRACTABLE": True}
    mechanism = Mechanism(CKM.AES_KEY_GEN, None)
    key = program.C_GenerateKey(session, mechanism, attributes(**secret), True)
    yield
    wrapping = Mechanism(CKM.AES_KEY_WRAP, None)
    wrapped = program.C_WrapKey(session, wrapping, key, key, ROOM)
    wanted = attributes(CLASS=int(CKO.SECRET_KEY), KEY_TYPE=0x1F, TOKEN=True, LABEL="unwrapped")
    program.C_UnwrapKey(session, wrapping, key, wrapped, wanted, True)
    yield
