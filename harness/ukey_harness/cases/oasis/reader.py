"""From an XML file to a test case: strict, so that nothing in it is passed over."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from ukey_harness.cases.oasis.elements import Element, OasisError, parse
from ukey_harness.cases.oasis.grammar import ATTRIBUTES, FUNCTIONS, Shape, number, shape
from ukey_harness.cases.oasis.script import PIN, Item, Script, Step, Symbol
from ukey_harness.cryptoki.names import CKA, CKM
from ukey_harness.cryptoki.returns import RETURNS

ROOT = "PKCS11"
NAMESPACE = "urn:oasis:tc:pkcs11:xmlns"  # the one that the Profiles declare, and do not use
VERIFIABLE = {CKM.SHA256_RSA_PKCS}  # whose signatures the replay can judge
_NAMES = {name.removeprefix("CKR_") for name in RETURNS.values()}


def read_script(path: Path) -> Script:
    """Return the test case in a file, named by it; OasisError says where it is none."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise OasisError(str(path), 0, f"cannot be read: {error.strerror}") from error
    return script(content, path.stem, str(path))


def script(content: bytes, name: str, file: str) -> Script:
    """Return the test case that an XML document holds."""
    return Script(name, file, tuple(_Reader(file).steps(parse(content, file))))


class _Reader:
    def __init__(self, file: str) -> None:
        self._file = file
        self._given: set[str] = {PIN.path}  # the symbols that there is a value for so far

    def steps(self, root: Element) -> Iterator[Step]:
        if root.name != ROOT or set(root.attributes.items()) - {("xmlns", NAMESPACE)}:
            raise self._error(root, f"the root of a test case is <{ROOT}>, without attributes")
        if not root.children:
            raise self._error(root, "there is no call in it")
        requests, responses = root.children[::2], root.children[1::2]
        for request, response in zip(requests, responses, strict=False):
            if response.name != request.name or "rv" not in response.attributes:
                raise self._error(response, f'the response <{request.name} rv="…"> is missing')
            yield self._step(request, response)
        if len(requests) > len(responses):
            raise self._error(requests[-1], "there is no response to it")

    def _step(self, request: Element, response: Element) -> Step:
        function = request.name.removeprefix("C_")
        if f"C_{function}" != request.name or function not in FUNCTIONS:
            known = ", ".join(f"C_{each}" for each in FUNCTIONS)
            raise self._error(request, f"<{request.name}> is not known here; known are {known}")
        rv = response.attributes["rv"]
        if rv not in _NAMES:
            raise self._error(response, f"CKR_{rv} is no return value of PKCS#11 3.2")
        if request.attributes or set(response.attributes) != {"rv"}:
            raise self._error(request, "a request has no attributes, a response only rv")
        given, told = (
            {item.name: item for item in self._within(element, wanted, function, answer=answer)}
            for element, wanted, answer in zip(
                (request, response), FUNCTIONS[function], (False, True), strict=True
            )
        )
        self._complete(request, given, FUNCTIONS[function][0])
        if rv == "OK":
            self._complete(response, told, FUNCTIONS[function][1])
        step = Step(function, request.line, given, rv, told)
        self._sense(step, request)
        self._given.update(_symbols(step.told.values()))
        return step

    def _within(
        self, element: Element, wanted: str, around: str, *, answer: bool
    ) -> Iterator[Item]:
        names = [word.rstrip("*") for word in wanted.split()]
        many = {word.rstrip("*") for word in wanted.split() if word.endswith("*")}
        seen: set[str] = set()
        for child in element.children:
            if child.name not in names:
                known = ", ".join(names) or "nothing"
                raise self._error(
                    child, f"<{child.name}> has no place in <{element.name}>; known is {known}"
                )
            if child.name in seen - many:
                raise self._error(child, f"<{child.name}> stands twice in <{element.name}>")
            seen.add(child.name)
            if child.name == "Attribute":
                yield self._attribute(child)
            else:
                yield self._item(child, shape(child.name, around, response=answer), answer=answer)

    def _item(self, element: Element, form: Shape, *, answer: bool) -> Item:
        known = {"value"} if form.value else set()
        known |= {"length"} if form.length else set()
        known |= {"major", "minor"} if form.version else set()
        self._attributes(element, known, set() if form.optional else known)
        attributes = element.attributes
        try:
            value = form.value(attributes["value"]) if form.value else None
            if form.version:
                value = int(attributes["major"]), int(attributes["minor"])
            length = number(attributes["length"]) if "length" in attributes else None
        except ValueError as error:
            raise self._error(element, f"<{element.name}>: {error}") from error
        return Item(
            element.name,
            element.line,
            value,
            length,
            written=attributes.get("value", ""),
            items=tuple(self._within(element, form.items, element.name, answer=answer)),
        )

    def _attribute(self, element: Element) -> Item:
        self._attributes(element, {"type", "value", "length"}, {"type"})
        if element.children:
            raise self._error(element.children[0], "an <Attribute> has nothing in it")
        attributes = element.attributes
        name = attributes["type"]
        if name not in CKA.__members__ or CKA[name] not in ATTRIBUTES:
            raise self._error(element, f"CKA_{name} is not known here")
        read = ATTRIBUTES[CKA[name]]
        try:
            value = read(attributes["value"]) if "value" in attributes else None
            length = number(attributes["length"]) if "length" in attributes else None
        except ValueError as error:
            raise self._error(element, f"CKA_{name}: {error}") from error
        written = attributes.get("value", "")
        return Item("Attribute", element.line, value, length, int(CKA[name]), written)

    def _attributes(self, element: Element, known: set[str], needed: set[str]) -> None:
        for name in element.attributes:
            if name not in known:
                raise self._error(element, f"<{element.name}> has no attribute {name!r}")
        for name in sorted(needed - set(element.attributes)):
            raise self._error(element, f"<{element.name}> lacks its attribute {name!r}")

    def _complete(self, element: Element, items: dict[str, Item], wanted: str) -> None:
        for name in wanted.split():
            if name not in items:
                raise self._error(element, f"<{element.name}> lacks its <{name}>")

    def _sense(self, step: Step, request: Element) -> None:
        """Check what no element can tell by itself."""
        for item in step.given.values():
            for used in _symbols([item]):
                if used not in self._given:
                    raise self._error(request, f"no response before this gives ${{{used}}}")
        if fault := _FAULTS.get(step.function, _no_fault)(step):
            raise self._error(request, fault)

    def _error(self, element: Element, fault: str) -> OasisError:
        return OasisError(self._file, element.line, fault)


def _no_fault(_: Step) -> str:
    return ""


def _search_fault(step: Step) -> str:
    if any(each.value is None for each in step.given["Template"]):
        return "an attribute that is searched for has a value"
    return ""


def _reading_fault(step: Step) -> str:
    asked, told = step.given["Template"], step.told.get("Template")
    if any(each.value is not None for each in asked):
        return "an attribute that is asked for has a length at most"
    if told is None:
        return ""
    if [each.kind for each in told] != [each.kind for each in asked]:
        return "the response has other attributes than the request"
    if any((each.value is None) == (each.length is None) for each in told):
        return "an attribute in a response has a value or a length"
    return ""


def _signing_fault(step: Step) -> str:
    kinds = [each.value for each in step.given["Mechanism"]]
    if len(kinds) != 1 or kinds[0] not in VERIFIABLE:
        names = ", ".join(f"CKM_{each.name}" for each in VERIFIABLE)
        return f"signatures that can be judged are those of {names}"
    return ""


_FAULTS = {
    "FindObjectsInit": _search_fault,
    "GetAttributeValue": _reading_fault,
    "SignInit": _signing_fault,
}


def _symbols(items: Iterable[Item]) -> Iterator[str]:
    for item in items:
        for value in (item.value, item.length):
            if isinstance(value, Symbol):
                yield value.path
        yield from _symbols(item.items)
