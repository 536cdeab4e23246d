"""The XML of a test case as elements that know their lines."""

from dataclasses import dataclass, field
from xml.parsers import expat

COMMENT = "#"  # the published cases have comments of this kind as text between elements


class OasisError(ValueError):
    """A file is no test case that can be replayed; the message names file, line and fault."""

    def __init__(self, file: str, line: int, fault: str) -> None:
        super().__init__(f"{file}:{line}: {fault}" if line else f"{file}: {fault}")


@dataclass
class Element:
    """An element: its name, the line of its tag, its attributes and what is in it."""

    name: str
    line: int
    attributes: dict[str, str] = field(default_factory=dict)
    children: list["Element"] = field(default_factory=list)


def parse(content: bytes, file: str) -> Element:
    """Return the root element; OasisError where it is no XML, has a DTD, or text of its own.

    Text between elements is refused unless it is blank or begins with "#".
    """
    return _Parse(file).root(content)


class _Parse:
    def __init__(self, file: str) -> None:
        self._file = file
        self._open: list[Element] = [Element("", 0)]
        self._text = ""
        self._text_line = 0
        self._expat = expat.ParserCreate()
        self._expat.StartElementHandler = self._begin
        self._expat.EndElementHandler = self._end
        self._expat.CharacterDataHandler = self._characters
        # No test case needs one, and entities are what makes XML dangerous.
        self._expat.StartDoctypeDeclHandler = self._doctype

    def root(self, content: bytes) -> Element:
        try:
            self._expat.Parse(content, True)  # noqa: FBT003 - expat takes it by position only
        except expat.ExpatError as error:
            raise OasisError(self._file, error.lineno, f"no XML: {error}") from error
        return self._open[0].children[0]

    @property
    def _line(self) -> int:
        return self._expat.CurrentLineNumber

    def _begin(self, name: str, attributes: dict[str, str]) -> None:
        self._end_text()
        element = Element(name, self._line, attributes)
        self._open[-1].children.append(element)
        self._open.append(element)

    def _end(self, _: str) -> None:
        self._end_text()
        self._open.pop()

    def _characters(self, data: str) -> None:
        if not self._text:
            self._text_line = self._line
        self._text += data
        if data.endswith("\n"):
            self._end_text()

    def _end_text(self) -> None:
        text, self._text = self._text.strip(), ""
        if text and not text.startswith(COMMENT):
            raise OasisError(self._file, self._text_line, f"text has no place here: {text!r}")

    def _doctype(self, *_: object) -> None:
        raise OasisError(self._file, self._line, "a DOCTYPE has no place here")
