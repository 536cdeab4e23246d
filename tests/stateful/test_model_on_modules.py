"""Random calls, legal and illegal: the same on our module, on SoftHSM2 and on a model of both."""

from collections import Counter

from deviations import Deviations
from devices import Emulated, SoftHsm
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test
from machine import Machine
from standard.values import words
from subjects import Subject

# Functions that a run has to have seen succeed, or it has tested too little.
WORKED = set(
    words(
        "OpenSession CloseSession Login CreateObject DestroyObject GenerateKey "
        "DecryptInit Decrypt EncryptInit DigestInit DigestUpdate SignInit Sign VerifyInit "
        "MessageEncryptInit"
    )
)


def test_every_answer_is_one_that_the_standard_allows(
    emulated: Emulated, softhsm: SoftHsm, length: settings, hunted: set[str]
) -> None:
    """A difference on SoftHSM2 that is in the table is passed over; any other one fails."""
    known = Deviations.of_softhsm()
    worked: Counter[str] = Counter()

    class Run(Machine):
        @staticmethod
        def make() -> list[Subject]:
            subjects = []
            if "emulated" in hunted:
                subjects.append(Subject(emulated))
            if "softhsm2" in hunted:
                subjects.append(Subject(softhsm, known))
            return subjects

        @staticmethod
        def over(subjects: list[Subject]) -> None:
            for subject in subjects:
                worked.update(subject.worked)

    run_state_machine_as_test(Run, settings=length)
    if "emulated" in hunted:
        assert not WORKED - set(worked), sorted(WORKED - set(worked))
