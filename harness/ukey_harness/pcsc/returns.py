"""Names of the return values and reader states of PC/SC, as winscard.h has them."""

from smartcard import scard

_KINDS = ("SCARD_S_", "SCARD_E_", "SCARD_W_", "SCARD_F_")
_STATE = "SCARD_STATE_"
_MASK = 0xFFFFFFFF
# Two names for one number: pcsc-lite's own stands before the alias.
RETURNS: dict[int, str] = {
    int(value) & _MASK: name.removeprefix("SCARD_")
    for name, value in sorted(vars(scard).items(), reverse=True)
    if name.startswith(_KINDS) and isinstance(value, int)
} | {0: "S_SUCCESS"}
STATES = {
    int(value): name.removeprefix(_STATE)
    for name, value in vars(scard).items()
    if name.startswith(_STATE) and isinstance(value, int) and value
}
RETURNS[int(scard.SCARD_E_UNSUPPORTED_FEATURE) & _MASK] = "E_UNSUPPORTED_FEATURE"


def return_name(code: int) -> str:
    """Return the name of a return value without SCARD_, its number when it has none."""
    return RETURNS.get(code & _MASK, f"0x{code & _MASK:08X}")
