"""What the card makes, as PKCS#11 programs see it; and both faces at the same time."""

import struct
import zlib

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from piv_program import (
    ED25519,
    P256,
    P384,
    RSA2048,
    X25519,
    PivProgram,
    members,
    tlv,
)
from program import PIN, ROOM, SO_PIN, Program, attributes
from two_faces import (
    AUTH,
    CARD_AUTH,
    CERTIFICATES,
    KEY_MAN,
    RETIRED,
    SIGN,
    certificate,
    certify,
    encoded,
    get,
    occupied,
    pair,
    put,
    shown,
    store,
)

from ukey_emulator.cryptoki.wire import Mechanism
from ukey_emulator.terms import CKA, CKK, CKM, CKO, CKR, CKU

PRINTED, SECURITY, VENDOR = 0x5FC109, 0x5FC106, 0x5FFF77
MESSAGE = b"what is signed"
NAMELESS = certify(ec.generate_private_key(ec.SECP256R1()).public_key()).replace(
    b"holder", b"\xff" * 6
)
"""a certificate, as far as one can see without reading its names, which are not UTF-8"""

# Keys


def test_a_key_made_without_the_pin_is_used_after_a_login(
    program: Program, piv: PivProgram
) -> None:
    piv.manage()
    key = piv.generate(AUTH, P256)
    assert isinstance(key, ec.EllipticCurvePublicKey)
    session = program.open()
    (public,) = program.find(session, CLASS=int(CKO.PUBLIC_KEY))
    assert program.find(session, CLASS=int(CKO.PRIVATE_KEY)) == []
    program.C_Login(session, CKU.USER, PIN)
    (private,) = program.find(session, CLASS=int(CKO.PRIVATE_KEY), ID=b"\x01")
    for handle in (public, private):
        assert program.read(session, handle, CKA.LABEL) == b"PIV AUTH key"
        assert program.read(session, handle, CKA.LOCAL) == b"\1"
        made_by = program.read(session, handle, CKA.KEY_GEN_MECHANISM)
        assert made_by == struct.pack("<Q", CKM.EC_KEY_PAIR_GEN)
    for attribute in ("SENSITIVE", "ALWAYS_SENSITIVE", "NEVER_EXTRACTABLE", "PRIVATE"):
        assert program.read(session, private, CKA[attribute]) == b"\1"
    assert program.read(session, private, CKA.EXTRACTABLE) == b"\0"
    program.C_SignInit(session, Mechanism(CKM.ECDSA_SHA256, None), private)
    signature = program.C_Sign(session, MESSAGE, ROOM)
    r, s = (int.from_bytes(half) for half in (signature[:32], signature[32:]))
    key.verify(encode_dss_signature(r, s), MESSAGE, ec.ECDSA(hashes.SHA256()))
    program.C_VerifyInit(session, Mechanism(CKM.ECDSA_SHA256, None), public)
    program.C_Verify(session, MESSAGE, signature)


def test_an_imported_key_is_not_local(program: Program, piv: PivProgram) -> None:
    piv.manage()
    scalar = (7).to_bytes(32)
    piv.ok(0xFE, P256, SIGN, tlv(0x06, scalar))
    session = program.open(user=CKU.USER)
    (private,) = program.find(session, CLASS=int(CKO.PRIVATE_KEY), ID=b"\x02")
    for attribute in ("LOCAL", "ALWAYS_SENSITIVE", "NEVER_EXTRACTABLE"):
        assert program.read(session, private, CKA[attribute]) == b"\0"
    assert program.read(session, private, CKA.ALWAYS_AUTHENTICATE) == b"\1"
    program.C_SignInit(session, Mechanism(CKM.ECDSA, None), private)
    assert program.rv("C_Sign", session, bytes(32), ROOM) == CKR.USER_NOT_LOGGED_IN
    program.C_SignInit(session, Mechanism(CKM.ECDSA, None), private)
    program.C_Login(session, CKU.CONTEXT_SPECIFIC, PIN)
    program.C_Sign(session, bytes(32), ROOM)


def test_a_key_that_wants_no_pin_is_used_without_a_login(program: Program, piv: PivProgram) -> None:
    piv.manage()
    piv.generate(CARD_AUTH, P256)
    session = program.open()
    (private,) = program.find(session, CLASS=int(CKO.PRIVATE_KEY))
    assert program.read(session, private, CKA.ID) == b"\x04"
    program.C_SignInit(session, Mechanism(CKM.ECDSA, None), private)
    program.C_Sign(session, bytes(32), ROOM)


def test_nothing_but_the_card_attests(program: Program, piv: PivProgram) -> None:
    piv.manage()
    piv.generate(AUTH, P256)
    piv.ok(0xF9, AUTH, 0x00)
    session = program.open()
    (private,) = program.find(session, CLASS=int(CKO.PRIVATE_KEY))
    assert program.read(session, private, CKA.LABEL) == b"Attestation key"
    code = program.rv("C_SignInit", session, Mechanism(CKM.ECDSA, None), private)
    assert code == CKR.KEY_FUNCTION_NOT_PERMITTED


@pytest.mark.parametrize(
    ("algorithm", "key_type", "uses"),
    [
        (RSA2048, CKK.RSA, {"SIGN", "SIGN_RECOVER", "DECRYPT", "UNWRAP"}),
        (P384, CKK.EC, {"SIGN", "DERIVE"}),
        (ED25519, CKK.EC_EDWARDS, {"SIGN"}),
        (X25519, CKK.EC_MONTGOMERY, {"DERIVE"}),
    ],
)
def test_a_key_may_do_what_its_algorithm_can(
    program: Program, piv: PivProgram, algorithm: int, key_type: CKK, uses: set[str]
) -> None:
    piv.manage()
    piv.generate(0x95, algorithm)
    session = program.open(user=CKU.USER)
    (private,) = program.find(session, CLASS=int(CKO.PRIVATE_KEY), KEY_TYPE=int(key_type))
    assert program.read(session, private, CKA.ID) == bytes([24])
    every = ("SIGN", "SIGN_RECOVER", "DECRYPT", "UNWRAP", "DERIVE")
    allowed = {use for use in every if program.read(session, private, CKA[use]) == b"\1"}
    assert allowed == uses


def test_an_identifier_that_is_taken_is_not_given_again(program: Program, piv: PivProgram) -> None:
    session = program.open(user=CKU.USER)
    public, _ = pair(program, session, b"\x03")
    piv.manage()
    piv.generate(KEY_MAN, P256)
    assert occupied(piv)[AUTH] == encoded(program, session, public)
    idents = {
        program.read(session, found, CKA.ID)
        for found in program.find(session, CLASS=int(CKO.PRIVATE_KEY))
    }
    assert len(idents) == 2
    assert b"\x03" in idents


def test_a_key_that_is_replaced_is_gone_for_both(program: Program, piv: PivProgram) -> None:
    session = program.open(user=CKU.USER)
    public, private = pair(program, session, b"one")
    value = certificate(program, session, public)
    store(program, session, value, ID=b"one")
    assert list(occupied(piv)) == [AUTH]
    piv.manage()
    piv.generate(AUTH, P256)
    for handle in (public, private):
        assert program.rv("C_GetObjectSize", session, handle, True) == CKR.OBJECT_HANDLE_INVALID
    (private,) = program.find(session, CLASS=int(CKO.PRIVATE_KEY))
    assert program.read(session, private, CKA.ID) == b"one"
    assert shown(piv, AUTH) == value  # until another is put there, as on other cards
    piv.ok(0xF6, 0xFF, AUTH)
    assert program.find(session, CLASS=int(CKO.PRIVATE_KEY)) == []
    assert program.find(session, CLASS=int(CKO.PUBLIC_KEY)) == []
    assert len(program.find(session, CLASS=int(CKO.CERTIFICATE))) == 1


def test_a_deleted_key_leaves_no_half_behind_be_it_sealed(
    program: Program, piv: PivProgram
) -> None:
    session = program.open(user=CKU.USER)
    public, _ = pair(program, session, b"one")
    program.C_CopyObject(session, public, attributes(PRIVATE=True), True)
    program.C_CloseSession(session)
    piv.manage()
    piv.ok(0xF6, 0xFF, AUTH)
    assert program.find(program.open(user=CKU.USER)) == []


def test_what_the_card_has_put_somewhere_stays_there(program: Program, piv: PivProgram) -> None:
    piv.manage()
    piv.generate(RETIRED, P256)
    assert list(occupied(piv)) == [RETIRED]
    session = program.open(user=CKU.USER)
    pair(program, session, b"one")
    before = occupied(piv)
    assert list(before) == [AUTH, RETIRED]
    piv.ok(0xF6, 0x95, AUTH)
    assert occupied(piv) == {0x95: before[AUTH], RETIRED: before[RETIRED]}


def test_what_may_not_be_destroyed_is_not(program: Program, piv: PivProgram) -> None:
    session = program.open(user=CKU.USER)
    public, _ = pair(program, session, b"one", DESTROYABLE=False)
    store(program, session, certificate(program, session, public), ID=b"one", DESTROYABLE=False)
    before = shown(piv, AUTH)
    piv.manage()
    assert piv.sw(0x47, 0x00, AUTH, tlv(0xAC, tlv(0x80, bytes([P256])))) == 0x6985
    assert piv.sw(0xF6, 0xFF, AUTH) == 0x6985
    name = tlv(0x5C, CERTIFICATES[AUTH].to_bytes(3))
    assert piv.sw(0xDB, 0x3F, 0xFF, name + tlv(0x53, b"other")) == 0x6985
    assert occupied(piv) == {AUTH: encoded(program, session, public)}
    assert shown(piv, AUTH) == before


# Certificates


def test_a_certificate_put_by_the_card_is_a_certificate(program: Program, piv: PivProgram) -> None:
    piv.manage()
    key = piv.generate(AUTH, P256)
    values = [certify(key, serial) for serial in (1, 2)]
    put(piv, CERTIFICATES[AUTH], tlv(0x70, values[0]) + tlv(0x71, b"\0") + tlv(0xFE))
    session = program.open()
    (found,) = program.find(session, CLASS=int(CKO.CERTIFICATE))
    assert program.read(session, found, CKA.VALUE) == values[0]
    assert program.read(session, found, CKA.ID) == b"\x01"
    subject = x509.load_der_x509_certificate(values[0]).subject.public_bytes()
    assert program.read(session, found, CKA.SUBJECT) == subject
    pressed = zlib.compressobj(wbits=31)
    content = pressed.compress(values[1]) + pressed.flush()
    compressed = tlv(0x70, content) + tlv(0x71, b"\1") + tlv(0xFE)
    put(piv, CERTIFICATES[AUTH], compressed)
    (found,) = program.find(session, CLASS=int(CKO.CERTIFICATE))
    assert program.read(session, found, CKA.VALUE) == values[1]
    assert get(piv, CERTIFICATES[AUTH]) == compressed
    store(program, session, values[0], ID=b"\x01")
    assert shown(piv, AUTH) == values[0]  # the newest, which nobody has compressed
    put(piv, CERTIFICATES[AUTH], b"")
    assert program.find(session, CLASS=int(CKO.CERTIFICATE)) == []
    assert get(piv, CERTIFICATES[AUTH]) == 0x6A82


def test_a_certificate_of_another_slots_key_is_where_it_was_put(
    program: Program, piv: PivProgram
) -> None:
    piv.manage()
    value = certify(piv.generate(AUTH, P256))
    for slot in (SIGN, KEY_MAN):  # with another key, and with none
        if slot == SIGN:
            piv.generate(slot, P256)
        put(piv, CERTIFICATES[slot], tlv(0x70, value))
        assert shown(piv, slot) == value
        assert shown(piv, AUTH) is None
        put(piv, CERTIFICATES[slot], b"")
        assert shown(piv, slot) is None
    assert program.find(program.open(), CLASS=int(CKO.CERTIFICATE)) == []


def test_beside_a_key_without_id_any_certificate_is_where_it_was_put(
    program: Program, piv: PivProgram
) -> None:
    session = program.open(user=CKU.USER)
    for _ in range(2):
        pair(program, session, b"")
    other = certify(ec.generate_private_key(ec.SECP256R1()).public_key())
    piv.manage()
    for slot in (AUTH, SIGN):
        put(piv, CERTIFICATES[slot], tlv(0x70, other))
        assert shown(piv, slot) == other


def test_a_certificate_may_come_before_its_key(program: Program, piv: PivProgram) -> None:
    piv.manage()
    value = certify(ec.generate_private_key(ec.SECP256R1()).public_key())
    put(piv, CERTIFICATES[KEY_MAN], tlv(0x70, value))
    session = program.open(user=CKU.USER)
    (found,) = program.find(session, CLASS=int(CKO.CERTIFICATE))
    ident = program.read(session, found, CKA.ID)
    assert ident == b"\x03"
    pair(program, session, ident)
    assert list(occupied(piv)) == [KEY_MAN]
    assert shown(piv, KEY_MAN) == value


@pytest.mark.parametrize(
    "content",
    [
        b"anything",
        tlv(0x70, b"no certificate") + tlv(0x71, b"\0") + tlv(0xFE),
        tlv(0x70, b"not compressed") + tlv(0x71, b"\1") + tlv(0xFE),
        tlv(0x70, zlib.compress(bytes(0x20000))) + tlv(0x71, b"\1") + tlv(0xFE),
        tlv(0x70, NAMELESS) + tlv(0x71, b"\0") + tlv(0xFE),
    ],
)
def test_what_is_no_certificate_is_kept_as_it_came(
    program: Program, piv: PivProgram, content: bytes
) -> None:
    piv.manage()
    value = certify(piv.generate(AUTH, P256))
    put(piv, CERTIFICATES[AUTH], content)
    assert get(piv, CERTIFICATES[AUTH]) == content
    session = program.open()
    assert program.find(session, CLASS=int(CKO.CERTIFICATE)) == []
    put(piv, CERTIFICATES[AUTH], tlv(0x70, value))
    assert shown(piv, AUTH) == value
    assert program.find(session, CLASS=int(CKO.DATA)) == []
    put(piv, CERTIFICATES[AUTH], content)
    assert get(piv, CERTIFICATES[AUTH]) == content
    assert program.find(session, CLASS=int(CKO.CERTIFICATE)) == []


# Data objects


def test_private_data_is_put_without_and_read_with_the_pin(
    program: Program, piv: PivProgram
) -> None:
    session = program.open()
    piv.manage()
    for content in (b"first", b"second"):
        put(piv, PRINTED, content)
        assert get(piv, PRINTED) == 0x6982
    assert program.find(session, CLASS=int(CKO.DATA)) == []
    program.C_Login(session, CKU.USER, PIN)
    (found,) = program.find(session, CLASS=int(CKO.DATA))
    assert program.read(session, found, CKA.VALUE) == b"second"
    assert program.read(session, found, CKA.LABEL) == b"Printed Information"
    assert program.read(session, found, CKA.APPLICATION) == b"PIV"
    identifier = bytes.fromhex("060a6086480165030702" + "3001")
    assert program.read(session, found, CKA.OBJECT_ID) == identifier
    assert get(piv, PRINTED) == 0x6982  # for this login is not the card's
    piv.verify()
    assert get(piv, PRINTED) == b"second"
    put(piv, PRINTED, b"")
    assert get(piv, PRINTED) == 0x6A82
    assert program.rv("C_GetObjectSize", session, found, True) == CKR.OBJECT_HANDLE_INVALID


@pytest.mark.parametrize("tag", [SECURITY, VENDOR])
def test_data_changed_by_a_program_is_changed_for_the_card(
    program: Program, piv: PivProgram, tag: int
) -> None:
    piv.manage()
    put(piv, tag, b"first")
    session = program.open()
    (found,) = program.find(session, CLASS=int(CKO.DATA))
    identifier = program.read(session, found, CKA.OBJECT_ID)
    program.C_SetAttributeValue(session, found, attributes(VALUE=b"second"))
    assert get(piv, tag) == b"second"
    program.C_DestroyObject(session, found)
    assert get(piv, tag) == 0x6A82
    wanted = attributes(CLASS=int(CKO.DATA), TOKEN=True, OBJECT_ID=identifier, VALUE=b"third")
    program.C_CreateObject(session, wanted, True)
    assert get(piv, tag) == b"third"


@pytest.mark.parametrize("tag", [SECURITY, PRINTED])
def test_opensc_names_data_without_the_header_of_the_der(
    program: Program, piv: PivProgram, tag: int
) -> None:
    identifier = bytes.fromhex("6086480165030702" + {SECURITY: "811000", PRINTED: "3001"}[tag])
    session = program.open(user=CKU.USER)
    named = {"CLASS": int(CKO.DATA), "TOKEN": True, "OBJECT_ID": identifier, "VALUE": b"first"}
    program.C_CreateObject(session, attributes(**named, PRIVATE=tag == PRINTED), True)
    program.C_Logout(session)
    piv.verify()
    assert get(piv, tag) == b"first"
    piv.manage()
    put(piv, tag, b"second")
    assert get(piv, tag) == b"second"
    program.C_Login(session, CKU.USER, PIN)
    (found,) = program.find(session, CLASS=int(CKO.DATA))
    assert program.read(session, found, CKA.OBJECT_ID)[2:] == identifier


def test_a_fresh_key_tells_its_serial_number(program: Program, piv: PivProgram) -> None:
    serial = program.C_GetTokenInfo(0, True)[80:96]
    content = get(piv, 0x5FC102)
    assert isinstance(content, bytes)
    holder = members(content)
    assert list(holder) == [0x30, 0x34, 0x35, 0x3E, 0xFE]
    assert [len(holder[tag]) for tag in (0x30, 0x34, 0x35)] == [25, 16, 8]
    assert holder[0x34][8:].hex().upper().encode() == serial
    assert program.find(program.open()) == []  # it is computed, and no object


def test_the_key_history_counts_the_retired_keys(program: Program, piv: PivProgram) -> None:
    assert get(piv, 0x5FC10C) == 0x6A82
    session = program.open(user=CKU.USER)
    for number in range(4):
        ident = bytes([number])
        public, _ = pair(program, session, ident)
        store(program, session, certificate(program, session, public), ID=ident)
    history = get(piv, 0x5FC10C)
    assert isinstance(history, bytes)
    assert members(history)[0xC1] == b"\x02"


# PINs, logins, wiping


def test_both_faces_are_logged_in_each_for_itself(program: Program, piv: PivProgram) -> None:
    session = program.open(user=CKU.USER)
    _, private = pair(program, session, b"one")
    assert piv.challenge(AUTH, P256, bytes(32))[1] == 0x6982
    piv.verify()
    program.C_Logout(session)
    assert piv.challenge(AUTH, P256, bytes(32))[1] == 0x9000
    program.C_Login(session, CKU.USER, PIN)
    piv.ok(0x20, 0xFF, 0x80)
    assert piv.challenge(AUTH, P256, bytes(32))[1] == 0x6982
    (private,) = program.find(session, CLASS=int(CKO.PRIVATE_KEY))
    program.C_SignInit(session, Mechanism(CKM.ECDSA, None), private)
    program.C_Sign(session, bytes(32), ROOM)


def test_the_puk_is_the_so_pin(program: Program, piv: PivProgram) -> None:
    session = program.open(user=CKU.USER)
    pair(program, session, b"one")
    program.C_Logout(session)
    for _ in range(10):
        program.rv("C_Login", session, CKU.USER, b"wrong!")
    assert piv.sw(0x20, 0x00, 0x80, PIN.ljust(8, b"\xff")) == 0x6983
    piv.ok(0x2C, 0x00, 0x80, SO_PIN + b"654321\xff\xff")
    program.C_Login(session, CKU.USER, b"654321")
    program.C_SignInit(
        session, Mechanism(CKM.ECDSA, None), *program.find(session, CLASS=int(CKO.PRIVATE_KEY))
    )
    program.C_Sign(session, bytes(32), ROOM)


def test_init_token_wipes_what_the_card_keeps(program: Program, piv: PivProgram) -> None:
    session = program.open(user=CKU.USER)
    public, _ = pair(program, session, b"one")
    store(program, session, certificate(program, session, public), ID=b"one")
    program.C_CloseSession(session)
    piv.manage()
    put(piv, VENDOR, b"data")
    piv.ok(0xFF, 0xFF, 0xFF, b"\x0a\x9b\x18" + bytes(range(24)))
    piv.verify()
    assert list(occupied(piv)) == [AUTH]
    program.C_InitToken(0, SO_PIN, b"fresh".ljust(32))
    assert occupied(piv) == {}
    assert [get(piv, tag) for tag in (VENDOR, CERTIFICATES[AUTH])] == [0x6A82, 0x6A82]
    assert not piv.manages
    piv.manage()  # with the key that it had at first
    piv.generate(AUTH, P256)
    assert piv.challenge(AUTH, P256, bytes(32))[1] == 0x6982
    piv.ok(0x2C, 0x00, 0x80, SO_PIN + b"654321\xff\xff")  # there is no PIN till then
    piv.ok(0x20, 0x00, 0x80, b"654321\xff\xff")
    assert piv.challenge(AUTH, P256, bytes(32))[1] == 0x9000


def reset(piv: PivProgram) -> None:
    """Block PIN and PUK, and have the card reset."""
    for _ in range(10):
        piv.sw(0x20, 0x00, 0x80, b"wrong!\xff\xff")
        piv.sw(0x2C, 0x00, 0x80, b"wrong!\xff\xff" + b"654321\xff\xff")
    piv.ok(0xFB, 0x00, 0x00)


@pytest.mark.parametrize(
    "after", ["C_Logout", "C_CloseSession", "C_GetSessionInfo"], ids=lambda name: name[2:]
)
def test_a_reset_ends_the_logins_of_programs(
    program: Program, other_program: Program, piv: PivProgram, after: str
) -> None:
    session = program.open(user=CKU.USER)
    _, private = pair(program, session, b"one")
    own = program.C_CreateObject(session, attributes(CLASS=int(CKO.DATA), PRIVATE=True), True)
    reset(piv)
    assert program.rv("C_GetObjectSize", session, private, True) == CKR.OBJECT_HANDLE_INVALID
    assert program.find(session) == []
    wanted = attributes(CLASS=int(CKO.DATA), TOKEN=True, PRIVATE=True)
    assert program.rv("C_CreateObject", session, wanted, True) == CKR.USER_NOT_LOGGED_IN
    assert program.rv("C_GetObjectSize", session, own, True) == CKR.OBJECT_HANDLE_INVALID
    # The late end of that login takes nothing from others.
    other = other_program.open(user=CKU.USER)
    arguments = (True,) if after == "C_GetSessionInfo" else ()
    expected = CKR.USER_NOT_LOGGED_IN if after == "C_Logout" else CKR.OK
    assert program.rv(after, session, *arguments) == expected
    other_program.C_CreateObject(other, wanted, True)
    assert len(other_program.find(other)) == 1
