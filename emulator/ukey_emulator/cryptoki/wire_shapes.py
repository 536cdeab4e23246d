"""What the arguments of a call look like in Python: the values that the wire carries."""

from typing import NamedTuple

NULL = 2**64 - 1
"""A word that stands for a NULL pointer (PROTOCOL.md)."""


class WireError(Exception):
    """A frame that does not follow PROTOCOL.md; the connection that sent it is to be closed."""


class Out(NamedTuple):
    """An output with a length, as C_Sign has it (PKCS#11 3.2 §5.2).

    `asked` is false where the pointer to the length is NULL; `capacity` is None where the buffer
    is NULL, otherwise what it holds: bytes, or numbers in a list of slots, mechanisms, objects.
    """

    asked: bool
    capacity: int | None


class Attribute(NamedTuple):
    """An attribute of a template (CK_ATTRIBUTE).

    `value` is None where pValue is NULL and `length` is not 0, or where `length` cannot be true;
    a list for the attributes whose value is a template (CKA_WRAP_TEMPLATE and its like).
    """

    type: int
    value: "bytes | list[Attribute] | None"
    length: int


class Query(NamedTuple):
    """An attribute that C_GetAttributeValue asks for.

    `capacity` is None where pValue is NULL, otherwise the size of the buffer in bytes; `nested`
    are the queries inside an attribute whose value is a template, where a buffer is given.
    """

    type: int
    capacity: int | None
    nested: "list[Query] | None"


class Parameter(NamedTuple):
    """A mechanism's parameter that holds pointers: the layout's name in parameters.def, its fields.

    Fields are int, bytes, None for a NULL pointer with a length, list[Attribute] for ITEMS and
    Parameter for OAEP_POINTER, in the order of the layout's members.
    """

    layout: str
    fields: "tuple[int | bytes | list[Attribute] | Parameter | None, ...]"


class Misfit(NamedTuple):
    """A parameter that fits nothing: NULL with a length, or a length of no known layout."""

    length: int


class Mechanism(NamedTuple):
    """CK_MECHANISM; `parameter` is None for (NULL, 0), bytes for a flat struct as C has it."""

    type: int
    parameter: bytes | Parameter | Misfit | None
