"""What a step raises when it sees something else than it demands."""


class Unmet(Exception):  # noqa: N818 - a verdict's name, not an error's
    """The demand was not met.

    expected, actual: in the reader's words (Chinese), they stand side by side in the report;
    detail: what else helps (a program's output, for instance).
    """

    def __init__(self, expected: object, actual: object, detail: str = "") -> None:
        self.expected = str(expected)
        self.actual = str(actual)
        self.detail = detail
        super().__init__(f"expected: {self.expected}; actual: {self.actual}")


def demand(condition: object, expected: object, actual: object, detail: str = "") -> None:
    """Raise Unmet(expected, actual, detail) unless the condition holds."""
    if not condition:
        raise Unmet(expected, actual, detail)
