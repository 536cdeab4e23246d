"""The wire between the C module and the rack, as Python sees it.

`decode` turns the payload of a call into a tuple with one entry for each word of the function's
line in functions.def (but for UNSENT); `encode` turns the return value and the results into the
answer. All numbers are unsigned with 64 bits: CK_UNAVAILABLE_INFORMATION is 2**64 - 1.

| word | argument | result |
|---|---|---|
| SLOT, SESSION, ULONG | int | - |
| BOOL | bool | - |
| DATA | bytes; (NULL, 0) is b"", (NULL, n) is None | - |
| OPTIONAL_DATA, PIN, NAME | bytes; NULL is None | - |
| LABEL | 32 bytes; NULL is None | - |
| TEMPLATE | list of Attribute; (NULL, 0) is [], (NULL, n) is None | - |
| MECHANISM | Mechanism; NULL is None | - |
| WRAP_MECHANISM | the same | bytes: the IV, written where the parameter has it |
| SEAL_MECHANISM | the same, some with a message's parameter | as SEAL_PARAMETER |
| OPEN_MECHANISM | the same, some with a message's parameter | - |
| RESERVED | bool: the pointer is not NULL | - |
| DATA_OUT | Out | bytes (they must fit), or int: only the length |
| FILL | int: bytes wanted; (NULL, n) is None | bytes, at most so many |
| ULONG_OUT | bool: the pointer is not NULL | int |
| LIST_OUT | Out, counted in numbers | sequence of int, or int: only the count |
| FOUND_OUT | Out, counted in numbers | sequence of int |
| SLOT_INFO (112), TOKEN_INFO (208), SESSION_INFO (32), MECHANISM_INFO (24) | bool: the pointer is not NULL | bytes of the whole struct as C has it (size in brackets) |
| QUERY | list of Query; (NULL, 0) is [], (NULL, n) is None | for each query (length, value): value is bytes, None (only the length is written) or a list of (type, length, value) for a template inside (length in bytes, 24 each) |
| SEAL_PARAMETER | as Mechanism.parameter | (IV or None, tag or None), written where the parameter has them |
| OPEN_PARAMETER | as Mechanism.parameter | - |

A result that is None stays untouched in the program; no results at all are (). A parameter's
fields are those of its layout in parameters.def: NUMBER and BYTE are int; BITS, TAG and TAG_BITS
are two fields, the bytes and the length that stands in the struct; SKIPPED is none; ITEMS is a
list of Attribute; OAEP_POINTER is a Parameter; all others are bytes; a NULL pointer with a length
is None. A tag to be written is b"" where its pointer is given. Examples:

    Mechanism(CKM_AES_GCM, Parameter("GCM", (iv, iv_bits, aad, tag_bits)))
    Mechanism(CKM_AES_GCM, Parameter("GCM_SHORT", (iv, aad, tag_bits)))
    Mechanism(CKM_RSA_PKCS_OAEP, Parameter("OAEP", (hash, mgf, source, source_data)))
    Mechanism(CKM_RSA_PKCS_PSS, bytes)    # flat: struct.unpack("<QQQ", ...)
    Parameter("GCM_MESSAGE", (iv, iv_fixed_bits, iv_generator, tag, tag_bits))
"""  # noqa: E501 - a table

from ukey_emulator.cryptoki.wire_read import decode
from ukey_emulator.cryptoki.wire_shapes import (
    NULL,
    Attribute,
    Mechanism,
    Misfit,
    Out,
    Parameter,
    Query,
    WireError,
)
from ukey_emulator.cryptoki.wire_table import (
    FUNCTIONS,
    LAYOUTS,
    MESSAGES,
    PARAMETERS,
    SEALED,
    TEMPLATE_ATTRIBUTES,
    Argument,
    Function,
    Layout,
)
from ukey_emulator.cryptoki.wire_write import HEADER, VERSION, encode

FRAME_LIMIT = 256 * 1024 * 1024
"""No payload is longer than this, in bytes, on either side."""

__all__ = [
    "FRAME_LIMIT",
    "FUNCTIONS",
    "HEADER",
    "LAYOUTS",
    "MESSAGES",
    "NULL",
    "PARAMETERS",
    "SEALED",
    "TEMPLATE_ATTRIBUTES",
    "VERSION",
    "Argument",
    "Attribute",
    "Function",
    "Layout",
    "Mechanism",
    "Misfit",
    "Out",
    "Parameter",
    "Query",
    "WireError",
    "decode",
    "encode",
]
