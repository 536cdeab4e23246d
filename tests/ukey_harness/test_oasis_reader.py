"""Test cases in XML: every element of the published ones is read, and nothing is passed over."""

from pathlib import Path

import pytest

from ukey_harness.cases.case import Changes
from ukey_harness.cases.oasis.cases import read_cases
from ukey_harness.cases.oasis.elements import OasisError
from ukey_harness.cases.oasis.reader import read_script, script
from ukey_harness.cases.oasis.script import PIN, Symbol
from ukey_harness.cryptoki.names import CKA, CKM, CKO

OURS = Path(__file__).parent / "oasis"
SIGN = (OURS / "SIGN-1.xml").read_text("utf-8")
LOOK = (OURS / "LOOK-1.xml").read_text("utf-8")
READ = (OURS / "READ-1.xml").read_text("utf-8")


def test_a_case_becomes_calls_with_values_of_their_types() -> None:
    case = read_script(OURS / "SIGN-1.xml")
    assert (case.id, len(case.steps), case.version, case.logs_in) == ("SIGN-1", 17, None, True)
    by_name = {step.function: step for step in case.steps}
    assert by_name["OpenSession"].given["Flags"].value == 6
    assert by_name["OpenSession"].told["Session"].value == Symbol("Session")
    assert by_name["Login"].given["Pin"].value == PIN
    search = next(step for step in case.steps if step.function == "FindObjectsInit")
    assert [(each.kind, each.value) for each in search.given["Template"]] == [
        (CKA.TOKEN, True),
        (CKA.CLASS, CKO.PUBLIC_KEY),
        (CKA.LABEL, "sample pair"),
    ]
    assert by_name["SignInit"].given["Mechanism"].items[0].value == CKM.SHA256_RSA_PKCS
    assert by_name["Sign"].given["Data"].value == b"what is to be signed"
    assert by_name["Sign"].given["Signature"].length == 128
    listing = [step for step in case.steps if step.function == "GetSlotList"]
    assert listing[0].given["SlotList"].length is None
    assert listing[1].given["SlotList"].length == Symbol("SlotList.length")


def test_structures_lists_and_comments_are_read() -> None:
    case = read_script(OURS / "LOOK-1.xml")
    assert case.version == (3, 2)
    token = next(step for step in case.steps if step.function == "GetTokenInfo").told["TokenInfo"]
    values = {item.name: item.value for item in token}
    assert values["Flags"] == 0x425
    assert values["utcTime"] == "2031010100000000"
    assert values["FirmwareVersion"] == (1, 0)
    assert values["MaxPinLen"] == 32


def test_cases_are_named_by_their_files_and_say_what_they_change() -> None:
    cases = read_cases(OURS)
    assert list(cases) == ["LOOK-1", "READ-1", "SIGN-1"]
    assert cases["LOOK-1"].changes is Changes.NOTHING
    assert cases["READ-1"].changes is cases["SIGN-1"].changes is Changes.OBJECTS
    assert list(read_cases(OURS / "READ-1.xml")) == ["READ-1"]
    assert cases["SIGN-1"].place == (str(OURS / "SIGN-1.xml"), 1)


def test_a_pin_that_a_case_names_spends_a_try(tmp_path: Path) -> None:
    (tmp_path / "PIN-1.xml").write_text(SIGN.replace("${Pin}", "9999"), "utf-8")
    assert read_cases(tmp_path)["PIN-1"].changes is Changes.PIN


@pytest.mark.parametrize(
    ("source", "old", "new", "told"),
    [
        (SIGN, "<PKCS11>", "<PKCS12>", "no XML: mismatched tag"),
        (SIGN, "<PKCS11>", "<PKCS11 version='1'>", "1: the root of a test case is <PKCS11>"),
        (SIGN, "<PKCS11>", "<!DOCTYPE PKCS11><PKCS11>", "1: a DOCTYPE"),
        (SIGN, "<C_Initialize/>", "idle text <C_Initialize/>", "3: text has no place here"),
        (SIGN, '<C_Login rv="OK"/>', "", 'the response <C_Login rv="…"> is missing'),
        (SIGN, '<C_Finalize rv="OK"/>', "", "there is no response to it"),
        (SIGN, '<C_Login rv="OK"/>', '<C_Login rv="FINE"/>', "21: CKR_FINE is no return value"),
        (SIGN, "C_Logout", "C_SignRecover", "<C_SignRecover> is not known here; known are"),
        (SIGN, "<UserType", "<Usertype", "18: <Usertype> has no place in <C_Login>"),
        (SIGN, 'value="USER"', 'value="ROOT"', "18: <UserType>: CKU_ROOT is not known"),
        (SIGN, 'value="USER"', 'value="USER" also="x"', "has no attribute 'also'"),
        (SIGN, '<Pin value="${Pin}"/>', "", "<C_Login> lacks its <Pin>"),
        (SIGN, '<Pin value="${Pin}"/>', "<Pin/>", "19: <Pin> lacks its attribute 'value'"),
        (SIGN, '<Pin value="${Pin}"/>', '<Pin value="${Pin"/>', "19: <Pin>: '${Pin' is no symbol"),
        (SIGN, "RW_SESSION|SERIAL", "RW_SESSION|PARALLEL", "CKF_PARALLEL_SESSION is not known"),
        (SIGN, 'type="TOKEN"', 'type="WEIGHT"', "CKA_WEIGHT is not known"),
        (SIGN, 'value="TRUE"', 'value="1"', "CKA_TOKEN: '1' is neither true nor false"),
        (SIGN, 'value="03"', 'value="3"', "CKA_PUBLIC_EXPONENT: non-hexadecimal"),
        (SIGN, 'length="512"', 'length="much"', "'much' is no whole number"),
        (SIGN, "SHA256_RSA_PKCS", "RSA_X_509", "signatures that can be judged are those of"),
        (SIGN, '<Key value="${Object.Object[0]}"', '<Key value="${Key}"', "gives ${Key}"),
        (SIGN, ' value="PUBLIC_KEY"', "", "an attribute that is searched for has a value"),
        (READ, 'type="LABEL"/>', 'type="LABEL" value="x"/>', "asked for has a length at most"),
        (READ, '<Attribute type="LABEL"/>', '<Attribute type="ID"/>', "has other attributes"),
        (READ, '<Attribute type="LABEL"/>', "<Type/>", "<Type> has no place in <Template>"),
        (LOOK, "<label", "<Label", "<Label> has no place in <TokenInfo>"),
        (LOOK, '<MaxPinLen value="32"', '<MaxPinLen value="${Most}"', "${Most} is no number"),
        (LOOK, '<MinPinLen value="4"/>', '<MinPinLen value="4"/>' * 2, "stands twice"),
        (LOOK, 'minor="2"', 'patch="2"', "<CryptokiVersion> has no attribute 'patch'"),
        (LOOK, 'minor="2"', 'minor="two"', "<CryptokiVersion>: invalid literal"),
        (LOOK, 'value="SHA256"', 'value="SHA257"', "CKM_SHA257 is not known"),
    ],
)  # fmt: skip
def test_what_it_does_not_know_is_an_error_with_file_and_line(
    source: str, old: str, new: str, told: str
) -> None:
    assert old in source
    limit = -1 if old in {"C_Logout", "C_Finalize"} else 1
    with pytest.raises(OasisError, match=r"^here\.xml:\d+: ") as caught:
        script(source.replace(old, new, limit).encode(), "here", "here.xml")
    assert told in str(caught.value)


def test_a_place_without_cases_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OasisError, match="no such file or folder"):
        read_cases(tmp_path / "nowhere")
    with pytest.raises(OasisError, match="there is no test case"):
        read_cases(tmp_path)
    (tmp_path / "EMPTY-1.xml").write_text("<PKCS11></PKCS11>", "utf-8")
    with pytest.raises(OasisError, match=r"EMPTY-1\.xml:1: there is no call in it"):
        read_cases(tmp_path)
