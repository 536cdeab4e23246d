"""Which of the cards in the readers is meant."""

from ukey_client.errors import (
    CardForeign,
    ReaderAbsent,
    TokenAbsent,
    TokenAmbiguous,
    TokenFailed,
    TokenRemoved,
)
from ukey_client.token.piv.pcsc import Readers
from ukey_client.token.piv.token import PivToken
from ukey_client.token.uri import TokenUri


def open_cards(reader: str, uri: str | None = None) -> list[PivToken]:
    """Open every PIV card that is meant, at least one.

    `reader` is the name of a reader, or a part of names, upper and lower case alike; empty it fits
    all. ReadersUnusable, ReaderAbsent, TokenAbsent, CardForeign.
    """
    wanted = TokenUri.parse(uri) if uri else None
    readers = Readers()
    opened: list[PivToken] = []
    try:
        foreign = _open_all(readers, _fitting(readers, reader), opened)
    except BaseException:
        _close(opened)
        raise
    finally:
        readers.close()
    if not opened:
        raise CardForeign(tuple(foreign)) if foreign else TokenAbsent(uri)
    if wanted is None:
        return opened
    meant = [one for one in opened if wanted.matches(_facts(one))]
    _close([one for one in opened if one not in meant])
    if not meant:
        raise TokenAbsent(wanted.text, tuple(_describe(one) for one in opened))
    return meant


def open_card(reader: str, uri: str | None = None) -> PivToken:
    """Open the one card that is meant; TokenAmbiguous if there are several."""
    opened = open_cards(reader, uri)
    if len(opened) > 1:
        _close(opened)
        uris = tuple(TokenUri.of_token(one.label, one.serial) for one in opened)
        raise TokenAmbiguous(tuple(_describe(one) for one in opened), uris)
    return opened[0]


def _fitting(readers: Readers, wanted: str) -> list[str]:
    names = readers.names()
    if wanted in names:
        return [wanted]
    fitting = [one for one in names if wanted.casefold() in one.casefold()]
    if wanted and not fitting:
        raise ReaderAbsent(wanted, tuple(names))
    return fitting


def _open_all(readers: Readers, names: list[str], opened: list[PivToken]) -> list[str]:
    """Open the PIV cards, into `opened`; give the readers in which there are others."""
    foreign = []
    for name in names:
        if not readers.has_card(name):
            continue
        try:
            line = readers.connect(name)
        except TokenRemoved:
            continue  # it went between the two questions
        try:
            opened.append(PivToken(line))
        except TokenRemoved:
            line.close()
        except TokenFailed:
            line.close()
            foreign.append(name)
        except BaseException:
            line.close()
            raise
    return foreign


def _close(tokens: list[PivToken]) -> None:
    for one in tokens:
        one.close()


def _facts(token: PivToken) -> dict[str, str]:
    """Give what RFC 7512 §2.3 matches a token by, under the names of its attributes."""
    return {
        "token": token.label,
        "serial": token.serial,
        "model": token.model,
        "slot-description": token.label,
    }


def _describe(token: PivToken) -> str:
    return f"{token.label}（序列号 {token.serial}）"
