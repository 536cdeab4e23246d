"""What certificates are trusted for: trust objects, and certificates that the SO trusts."""

import pytest
from program import PIN, SO_PIN, Program, attributes

from ukey_emulator.terms import CKA, CKC, CKM, CKO, CKR, CKT, CKU

TRUST = {"CLASS": int(CKO.TRUST), "ISSUER": b"0\0", "SERIAL_NUMBER": b"\2\1\7"}
HASHED = {"HASH_OF_CERTIFICATE": bytes(32), "NAME_HASH_ALGORITHM": int(CKM.SHA256)}
X509 = {
    "CLASS": int(CKO.CERTIFICATE),
    "CERTIFICATE_TYPE": int(CKC.X_509),
    "SUBJECT": b"0\0",
    "VALUE": b"a certificate",
    "TOKEN": True,
}


def number(value: int) -> bytes:
    return value.to_bytes(8, "little")


def test_a_trust_object_is_kept_and_found(program: Program) -> None:
    session = program.open()
    template = {**TRUST, **HASHED, "TOKEN": True, "LABEL": "root"}
    wanted = attributes(**template, TRUST_SERVER_AUTH=int(CKT.TRUST_ANCHOR))
    obj = program.C_CreateObject(session, wanted, True)
    assert program.find(session, **TRUST) == [obj]
    for attribute, value in (
        (CKA.TRUST_SERVER_AUTH, number(CKT.TRUST_ANCHOR)),
        (CKA.TRUST_OCSP_SIGNING, number(CKT.TRUST_UNKNOWN)),
        (CKA.HASH_OF_CERTIFICATE, bytes(32)),
        (CKA.PRIVATE, b"\0"),
        (CKA.MODIFIABLE, b"\1"),
    ):
        assert program.read(session, obj, attribute) == value
    program.C_SetAttributeValue(session, obj, attributes(TRUST_SERVER_AUTH=int(CKT.NOT_TRUSTED)))
    assert program.find(session, TRUST_SERVER_AUTH=int(CKT.NOT_TRUSTED)) == [obj]
    for fixed in ({"ISSUER": b"0"}, {"SERIAL_NUMBER": b"\2\1\1"}):
        code = program.rv("C_SetAttributeValue", session, obj, attributes(**fixed))
        assert code == CKR.ATTRIBUTE_READ_ONLY


@pytest.mark.parametrize(
    ("template", "code"),
    [
        ({"ISSUER": b"0\0"}, CKR.TEMPLATE_INCOMPLETE),
        ({"SERIAL_NUMBER": b"\2\1\7"}, CKR.TEMPLATE_INCOMPLETE),
        ({**TRUST, "TRUST_IPSEC_IKE": 5}, CKR.ATTRIBUTE_VALUE_INVALID),
        ({**TRUST, "TRUST_IPSEC_IKE": b"\1"}, CKR.ATTRIBUTE_VALUE_INVALID),
        ({**TRUST, "VALUE": b"certificate"}, CKR.TEMPLATE_INCONSISTENT),
        ({**TRUST, "TRUST_CODE_SIGNING": int(CKT.TRUSTED)}, CKR.TEMPLATE_INCOMPLETE),
        (
            {**TRUST, "TRUST_CODE_SIGNING": int(CKT.TRUSTED), "HASH_OF_CERTIFICATE": bytes(20)},
            CKR.TEMPLATE_INCOMPLETE,
        ),
        ({**TRUST, "TRUST_CODE_SIGNING": int(CKT.NOT_TRUSTED)}, CKR.OK),
        ({**TRUST, **HASHED, "TRUST_CODE_SIGNING": int(CKT.TRUSTED)}, CKR.OK),
    ],
)
def test_what_a_trust_object_wants(
    program: Program, template: dict[str, object], code: CKR
) -> None:
    session = program.open()
    wanted = attributes(**{"CLASS": int(CKO.TRUST), **template})
    assert program.rv("C_CreateObject", session, wanted, True) == code


def test_trust_cannot_be_raised_without_a_hash(program: Program) -> None:
    session = program.open()
    obj = program.C_CreateObject(session, attributes(**TRUST), True)
    raised = {"TRUST_SERVER_AUTH": int(CKT.TRUSTED)}
    code = program.rv("C_SetAttributeValue", session, obj, attributes(**raised))
    assert code == CKR.TEMPLATE_INCONSISTENT
    assert program.read(session, obj, CKA.TRUST_SERVER_AUTH) == number(CKT.TRUST_UNKNOWN)
    program.C_SetAttributeValue(session, obj, attributes(**raised, **HASHED))
    assert program.read(session, obj, CKA.TRUST_SERVER_AUTH) == number(CKT.TRUSTED)


def test_the_so_alone_makes_a_certificate_trusted_and_then_it_stays_as_it_is(
    program: Program,
) -> None:
    session = program.open(user=CKU.USER)
    trusted = attributes(**X509, TRUSTED=True)
    assert program.rv("C_CreateObject", session, trusted, True) == CKR.ATTRIBUTE_READ_ONLY
    obj = program.C_CreateObject(session, attributes(**X509), True)
    code = program.rv("C_SetAttributeValue", session, obj, attributes(TRUSTED=True))
    assert code == CKR.ATTRIBUTE_READ_ONLY
    program.C_Logout(session)
    program.C_Login(session, CKU.SO, SO_PIN)
    program.C_SetAttributeValue(session, obj, attributes(TRUSTED=True))
    for user in (None, CKU.USER):
        if user is not None:
            program.C_Logout(session)
            program.C_Login(session, user, PIN)
        for change in ({"ID": b"1"}, {"LABEL": "mine"}, {"TRUSTED": False}, {"ISSUER": b"0"}):
            code = program.rv("C_SetAttributeValue", session, obj, attributes(**change))
            assert code == CKR.ATTRIBUTE_READ_ONLY
            code = program.rv("C_CopyObject", session, obj, attributes(**change), True)
            assert code == CKR.ATTRIBUTE_READ_ONLY
    program.C_SetAttributeValue(session, obj, attributes(LABEL=b""))
    copy = program.C_CopyObject(session, obj, attributes(TOKEN=False), True)
    assert program.read(session, copy, CKA.TRUSTED) == b"\1"


@pytest.mark.parametrize(
    "wrong",
    [
        {"CERTIFICATE_CATEGORY": 4},
        {"JAVA_MIDP_SECURITY_DOMAIN": 4},
        {"START_DATE": "20261301"},
        {"START_DATE": "18991231"},
        {"END_DATE": "20261232"},
    ],
)
def test_values_that_no_certificate_has(program: Program, wrong: dict[str, object]) -> None:
    session = program.open()
    template = attributes(**{**X509, **wrong})
    assert program.rv("C_CreateObject", session, template, True) == CKR.ATTRIBUTE_VALUE_INVALID
