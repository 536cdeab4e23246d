"""One case, in the process that was forked for it."""

import json
import os
import socket
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ukey_harness.cases.case import Case, Changes, NotApplicable, Unprepared, facts
from ukey_harness.cases.catalogue import CARD
from ukey_harness.cases.finding import Finding, Judgement
from ukey_harness.cases.pkcs11.excuses import excuse
from ukey_harness.cases.pkcs11.stand import Act, Stand
from ukey_harness.cases.pkcs11.sweep import sweep
from ukey_harness.cases.subject import Subject
from ukey_harness.cryptoki import ModuleLoadError

if TYPE_CHECKING:
    from ukey_harness.cases.card.stand import CardStand

CHUNK = 65536


class Line:
    """JSON lines over a socket, both ways."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._rest = b""

    def send(self, message: dict[str, Any]) -> None:
        """Send one message."""
        self._end.sendall(json.dumps(message).encode() + b"\n")

    def receive(self) -> dict[str, Any]:
        """Wait for one message; EOFError when the other side has gone."""
        while b"\n" not in self._rest:
            chunk = self._end.recv(CHUNK)
            if not chunk:
                raise EOFError("the runner has gone")
            self._rest += chunk
        line, _, self._rest = self._rest.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer


def carry_out(case: Case, subject: Subject, line: Line) -> None:
    """Run the case and send its finding."""
    os.environ.update(subject.environment)

    def act(verb: str, **more: object) -> dict[str, Any]:
        line.send({"ask": verb, "more": more})
        answer = line.receive()
        if "refused" in answer:
            raise NotApplicable(answer["refused"])
        if "failed" in answer:
            raise RuntimeError(answer["failed"])
        return dict(answer["did"])

    stand, ready, leave = _stand(case, subject, act)
    finding = Finding(case.id)
    try:
        ready()
        finding.missing = next((why for need in case.needs if (why := need(stand))), "")
        if not finding.missing:
            finding.seen = facts(case.function(stand))
    except NotApplicable as reason:
        finding.missing = str(reason)
    except (Unprepared, ModuleLoadError) as reason:
        finding.unprepared = str(reason)
    except Exception:  # noqa: BLE001 - an error of ours must not look like one of the device
        finding.fault = traceback.format_exc(limit=-4)
    if finding.judged(case) is Judgement.UNMET and isinstance(stand, Stand):
        _excused(finding, excuse(stand))
    _charge(finding, stand.trespasses)
    finding.notes, finding.steps = stand.notes, stand.steps
    finding.calls = [] if stand.steps else list(stand.calls)  # they stand in the steps
    line.send({"done": finding.to_json()})
    if not subject.renewable and stand.loaded:
        leave()


def _stand(
    case: Case, subject: Subject, act: Act
) -> "tuple[Stand | CardStand, Callable[[], None], Callable[[], None]]":
    """Return the stand for a case of its suite, what is seen to before it, and what after it.

    What is done before and after is for a key that is dear.
    """
    if case.suite == CARD:
        from ukey_harness.cases.card.piv import prove, restore  # noqa: PLC0415 - pyscard is an extra
        from ukey_harness.cases.card.stand import CardStand  # noqa: PLC0415 - the same

        card = CardStand(subject, act)
        spends = not subject.renewable and case.changes in {Changes.PIN, Changes.TOKEN}
        return card, (lambda: prove(card)) if spends else _nothing, lambda: restore(card)
    stand = Stand(subject, act)
    return stand, _nothing, lambda: sweep(stand)


def _nothing() -> None:
    """Do nothing: the key is thrown away afterwards, or loses nothing."""


def _excused(finding: Finding, why: str) -> None:
    """Have a case not apply where what the token shows of itself explains what was seen."""
    if why:
        finding.missing, finding.seen, finding.unprepared = why, None, ""


def _charge(finding: Finding, trespasses: list[str]) -> None:
    """Add what the module has written too far: nothing that a case expects comes with that."""
    if finding.unprepared:
        finding.unprepared = "; ".join([finding.unprepared, *trespasses])
    elif trespasses and not finding.fault:
        finding.seen, finding.missing = (*(finding.seen or ()), *trespasses), ""
