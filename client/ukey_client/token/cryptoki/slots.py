"""Which of the plugged-in keys is meant."""

import pkcs11
from pkcs11 import TokenFlag

from ukey_client.errors import TokenAbsent, TokenAmbiguous, TokenNotInitialised
from ukey_client.token.cryptoki.faults import translated
from ukey_client.token.cryptoki.module import Library
from ukey_client.token.uri import TokenUri

_ATTEMPTS = 3


def choose_tokens(library: Library, uri: TokenUri | None) -> list[pkcs11.Token]:
    """Choose the keys that are meant, at least one; TokenAbsent or TokenNotInitialised."""
    with translated("查找"):
        present = _present(library)
    ready = [token for token in present if token.flags & TokenFlag.TOKEN_INITIALIZED]
    if uri is None:
        fitting = ready
    else:
        fitting = [token for token in ready if uri.matches(facts(library, token))]
    if fitting:
        return fitting
    if present and not ready:
        raise TokenNotInitialised
    raise TokenAbsent(uri.text if uri else None, tuple(map(describe, ready)))


def choose_token(library: Library, uri: TokenUri | None) -> pkcs11.Token:
    """Choose the one key that is meant; TokenAmbiguous if there are several."""
    fitting = choose_tokens(library, uri)
    if len(fitting) > 1:
        uris = (TokenUri.of_token(one.label, serial_of(one)) for one in fitting)
        raise TokenAmbiguous(tuple(map(describe, fitting)), tuple(uris))
    return fitting[0]


def facts(library: Library, token: pkcs11.Token) -> dict[str, str]:
    """Give what RFC 7512 §2.3 matches a token by, under the names of its attributes."""
    slot = token.slot
    major, minor = library.library_version
    return {
        "token": token.label,
        "serial": serial_of(token),
        "manufacturer": token.manufacturer_id,
        "model": token.model,
        "slot-id": str(slot.slot_id),
        "slot-description": slot.slot_description,
        "slot-manufacturer": slot.manufacturer_id,
        "library-manufacturer": library.manufacturer_id,
        "library-description": library.library_description,
        "library-version": f"{major}.{minor}",
    }


def describe(token: pkcs11.Token) -> str:
    """One line for the holder: name and serial number."""
    return f"{token.label}（序列号 {serial_of(token)}）"


def serial_of(token: pkcs11.Token) -> str:
    """Give the serial number as text, whatever bytes the key has there."""
    return token.serial.decode(errors="replace")


def _present(library: Library) -> list[pkcs11.Token]:
    """Every key that is plugged in, whatever its state.

    A key may go between the two calls that make the list: then the list is read again.
    """
    for attempt in range(_ATTEMPTS):
        try:
            slots = library.get_slots(token_present=True)
        except pkcs11.PKCS11Error:
            if attempt == _ATTEMPTS - 1:
                raise
            continue
        break
    tokens = []
    for slot in slots:
        try:
            tokens.append(slot.get_token())
        except (
            pkcs11.TokenNotPresent,
            pkcs11.TokenNotRecognised,
            pkcs11.DeviceRemoved,
            pkcs11.SlotIDInvalid,
        ):
            continue
    return tokens
