"""The way to a key: a PKCS#11 module, or a reader."""

from dataclasses import dataclass

from ukey_client.token.cryptoki.token import open_token, open_tokens
from ukey_client.token.piv.readers import open_card, open_cards
from ukey_client.token.port import Token


@dataclass(frozen=True)
class Way:
    """Which key is meant, and how it is reached.

    `module` is the path of a PKCS#11 module; `reader` the name of a PC/SC reader or a part of it,
    and goes before the module; `uri` an RFC 7512 URI that names token or certificate.
    """

    module: str = ""
    reader: str | None = None
    uri: str | None = None

    def open(self) -> Token:
        """Open the key that is meant; the only one that is plugged in, if none is named."""
        if self.reader is not None:
            return open_card(self.reader, self.uri)
        return open_token(self.module, self.uri)

    def open_all(self) -> list[Token]:
        """Open every key that fits, at least one."""
        if self.reader is not None:
            return [*open_cards(self.reader, self.uri)]
        return [*open_tokens(self.module, self.uri)]
