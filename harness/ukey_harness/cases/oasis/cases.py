"""Test cases in XML files as cases of the conformance lab."""

from pathlib import Path

from ukey_harness.cases.case import Case, Changes, Seen
from ukey_harness.cases.expectation import Expectation
from ukey_harness.cases.oasis.elements import OasisError
from ukey_harness.cases.oasis.provision import provide, searches
from ukey_harness.cases.oasis.reader import read_script
from ukey_harness.cases.oasis.replay import AS_SHOWN, OPEN, Replay
from ukey_harness.cases.oasis.script import PIN, Script
from ukey_harness.cases.pkcs11.stand import Stand

LIMIT = 60.0  # seconds; a token may need many to make the RSA keys of a case
STANDARD = "PKCS#11 Profiles"
SECTION = "OASIS profile test cases"
# The letters that the ids of the published cases begin with.
PROFILES = {
    "AUTH": "Authentication Token",
    "BL": "Baseline Provider",
    "CERT": "Public Certificates Token",
    "EXT": "Extended Provider",
}


def read_cases(place: Path) -> dict[str, Case]:
    """Return the test case in a file, or all in a folder, by their ids, which are the files' names.

    OasisError: there is no such place, no case in it, or a file in it is none.
    """
    if place.is_dir():
        files = sorted(place.glob("*.xml"))
        if not files:
            raise OasisError(str(place), 0, "there is no test case (*.xml) in this folder")
    elif place.is_file():
        files = [place]
    else:
        raise OasisError(str(place), 0, "there is no such file or folder")
    return {case.id: case for case in map(read_case, files)}


def read_case(file: Path) -> Case:
    """Return the test case in a file."""
    script = read_script(file)
    profile = PROFILES.get(script.id.partition("-")[0])
    title = f"{script.id} ({profile})" if profile else script.id

    def run(stand: Stand) -> Seen:
        return put(stand, script)

    return Case(
        id=script.id.upper(),
        clause=f"{STANDARD} {script.id}",
        rule=f"The {len(script.steps)} calls of {title} give what the test case shows.",
        expectation=Expectation(((AS_SHOWN,),), (((OPEN,),),)),
        changes=_changes(script),
        needs=(),
        locks=False,
        limit=LIMIT,
        function=run,
        section=SECTION,
        file=str(file),
    )


def put(stand: Stand, script: Script) -> Seen:
    """Put a test case to a token: provide what it searches for, then make its calls."""
    if script.version is not None:
        stand.module.use(*script.version)
    provide(stand, script)
    return Replay(stand, script).run()


def _changes(script: Script) -> Changes:
    logins = [step.given["Pin"].value for step in script.steps if step.function == "Login"]
    if any(pin != PIN for pin in logins):
        return Changes.PIN  # a PIN that the file names is a wrong one
    return Changes.OBJECTS if searches(script) else Changes.NOTHING
