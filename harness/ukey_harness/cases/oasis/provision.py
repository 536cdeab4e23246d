"""What a test case wants to find, put onto the token beforehand by the standard's own calls.

For a search of a public and of a private key: a pair of RSA keys with the labels that are searched
for, as long as the modulus that the case shows. For any other search that shows objects: as many as
it shows, each with every attribute that the case reads of any of them, for no order is promised of
what is found (PKCS#11 3.2 §5.7.7): certificates where a VALUE that is shown is one, data objects
otherwise.
"""

from dataclasses import dataclass, field
from itertools import zip_longest

from asn1crypto.x509 import Certificate

from ukey_harness.cases.case import NotApplicable
from ukey_harness.cases.oasis.judging import encoded
from ukey_harness.cases.oasis.script import Script, Symbol
from ukey_harness.cases.pkcs11.stand import MARK, Stand
from ukey_harness.cryptoki.arguments import Value
from ukey_harness.cryptoki.names import CKA, CKC, CKM, CKO
from ukey_harness.verdicts.record import StepRecord
from ukey_harness.verdicts.verdict import Verdict

BITS = 2048
EXPONENT = b"\x01\x00\x01"
IDENTIFIER = MARK.encode()  # shared, as a key pair has one identifier


@dataclass
class Search:
    """A search of a case that shows objects.

    wanted: the template; shown: the symbols of the objects; reads: what the case reads of which;
    values: attribute → the value that is shown, as long as the length that is shown.
    """

    wanted: dict[int, bytes]
    shown: list[str] = field(default_factory=list)
    reads: set[tuple[str, int]] = field(default_factory=set)
    values: dict[int, bytes] = field(default_factory=dict)

    @property
    def kind(self) -> int | None:
        """The class that is searched for, if one is."""
        value = self.wanted.get(CKA.CLASS)
        return None if value is None else int.from_bytes(value, "little")


def searches(script: Script) -> list[Search]:
    """Return the searches of a case that show objects."""
    found: list[Search] = []
    owners: dict[str, Search] = {}
    lengths: dict[int, int] = {}
    for step in script.steps:
        if step.function == "FindObjectsInit":
            found.append(Search({each.kind: encoded(each) for each in step.given["Template"]}))
        elif step.function == "FindObjects" and found and "Object" in step.told:
            values = [each.value for each in step.told["Object"]]
            shown = [each.path for each in values if isinstance(each, Symbol)]
            found[-1].shown += shown
            owners |= dict.fromkeys(shown, found[-1])
        elif step.function == "GetAttributeValue":
            target = step.given["Object"].value
            owner = owners.get(target.path) if isinstance(target, Symbol) else None
            if owner is None:
                continue
            for told in step.told.get("Template", ()):
                owner.reads.add((str(target), told.kind))
                if isinstance(told.length, int):
                    lengths[told.kind] = told.length
                elif told.value is not None:
                    padded = encoded(told).ljust(lengths.get(told.kind, 0), b"\0")
                    owner.values[told.kind] = padded
    return [each for each in found if each.shown]


def provide(stand: Stand, script: Script) -> None:
    """See that the token has what the case searches for: make it, or look for it.

    NotApplicable: it is not there, and must not be made. Unprepared: the token refuses to make it.
    """
    wanted = searches(script)
    if not wanted:
        return
    begun = len(stand.calls)
    stand.initialize()
    may_make = stand.subject.erasable
    actual = _made(stand, wanted) if may_make else _there(stand, script, wanted)
    stand.finalize()
    stand.forget_slot()
    objects = sum(len(each.shown) for each in wanted)
    stand.steps.append(
        StepRecord(
            keyword="before",
            text="The token has what the case searches for.",
            line=1,
            verdict=Verdict.MET,
            expected=f"{objects} objects",
            actual=actual,
            calls=stand.calls[begun:],
        )
    )


def _made(stand: Stand, wanted: list[Search]) -> str:
    session = stand.user()
    publics, privates = (
        [each for each in wanted if each.kind == kind] for kind in (CKO.PUBLIC_KEY, CKO.PRIVATE_KEY)
    )
    for public, private in zip_longest(publics, privates, fillvalue=Search({})):
        _make_pair(stand, session, public, private)
    for search in wanted:
        if search not in publics + privates:
            for _ in search.shown:
                stand.create(session, _object(search))
    return "made by C_GenerateKeyPair and C_CreateObject"


def _make_pair(stand: Stand, session: int, public: Search, private: Search) -> None:
    common: dict[int, Value] = {CKA.TOKEN: True, CKA.LABEL: MARK, CKA.ID: IDENTIFIER}
    bits = 8 * len(public.values.get(CKA.MODULUS, b"")) or BITS
    stand.pair(
        session,
        CKM.RSA_PKCS_KEY_PAIR_GEN,
        {
            **common,
            CKA.PRIVATE: False,
            CKA.MODULUS_BITS: bits,
            CKA.PUBLIC_EXPONENT: EXPONENT,
            CKA.VERIFY: True,
            **public.wanted,
        },
        {**common, CKA.PRIVATE: True, CKA.SENSITIVE: True, CKA.SIGN: True, **private.wanted},
    )


def _object(search: Search) -> dict[int, Value]:
    value = search.values.get(CKA.VALUE, IDENTIFIER)
    made: dict[int, Value] = {
        CKA.CLASS: CKO.DATA,
        CKA.TOKEN: True,
        CKA.PRIVATE: False,
        CKA.LABEL: search.values.get(CKA.LABEL, IDENTIFIER),
        CKA.VALUE: value,
    }
    try:
        certificate = Certificate.load(value, strict=True)
        made |= {
            CKA.CLASS: CKO.CERTIFICATE,
            CKA.CERTIFICATE_TYPE: CKC.X_509,
            CKA.SUBJECT: certificate.subject.dump(),
            CKA.ISSUER: certificate.issuer.dump(),
            CKA.SERIAL_NUMBER: certificate["tbs_certificate"]["serial_number"].dump(),
        }
    except ValueError:
        pass  # no certificate, so it stays a data object
    return made | dict(search.wanted)


def _there(stand: Stand, script: Script, wanted: list[Search]) -> str:
    session = stand.user(write=False) if script.logs_in else stand.session(write=False)
    for search in wanted:
        found = stand.find(session, search.wanted)[: len(search.shown)]
        given = dict(zip((f"${{{path}}}" for path in search.shown), found, strict=False))
        lacking = [
            name
            for name in given
            if any(
                stand.attribute(session, given[name], kind) is None
                for target, kind in search.reads
                if target == name
            )
        ]
        if len(found) < len(search.shown) or lacking:
            what = f"what {', '.join(lacking)} is read for" if lacking else "so many objects"
            raise NotApplicable(
                f"The token does not have {what}, and nothing may be put onto it: the device file "
                "does not consent to the key being erased (consent.erase)."
            )
    return "there already"
