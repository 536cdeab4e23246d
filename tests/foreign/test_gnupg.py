"""GnuPG as judge, through gnupg-pkcs11-scd and pkcs11-helper: our token is a card to it."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from holder import certify, make_pair
from little_authority import LittleAuthority
from token_under_test import TokenUnderTest

PINENTRY = """#!/bin/sh
echo OK
while read -r line; do
  case "$line" in
    GETPIN*) echo "D {pin}"; echo OK ;;
    BYE*) echo OK; exit ;;
    *) echo OK ;;
  esac
done
"""
PARAMETERS = """Key-Type: RSA
Key-Grip: {grip}
Key-Usage: sign,cert
Name-Real: holder
%commit
"""


class Card:
    """GnuPG's folder, with an agent that has the token for a card."""

    def __init__(self, token: TokenUnderTest, folder: Path) -> None:
        self.token = token
        self.home = folder / "gnupg"
        self.home.mkdir(mode=0o700)
        pinentry = self.home / "pinentry"
        pinentry.write_text(PINENTRY.format(pin=token.pin))
        pinentry.chmod(0o700)
        settings = {
            "gpg-agent.conf": (
                "scdaemon-program /usr/bin/gnupg-pkcs11-scd\n"
                f"pinentry-program {pinentry}\ndisable-check-own-socket\n"
            ),
            "gnupg-pkcs11-scd.conf": f"providers key\nprovider-key-library {token.module}\n",
        }
        for name, text in settings.items():
            (self.home / name).write_text(text)

    def run(self, *words: str | Path, expect: int = 0) -> str:
        home = {"HOME": str(self.home), "GNUPGHOME": str(self.home)}
        return self.token.run(*words, expect=expect, extra=home)

    def gpg(self, *words: str | Path, expect: int = 0) -> str:
        return self.run("gpg", "--batch", "--yes", *words, expect=expect)

    def grip(self) -> str:
        """Give GnuPG's name of the key on the card."""
        told = self.run("gpg-connect-agent", "SCD LEARN", "/bye")
        (grip,) = re.findall(r"^S KEYPAIRINFO (\w{40}) ", told, re.MULTILINE)
        return str(grip)

    def adopt(self) -> None:
        """Make an OpenPGP key whose secret is the key on the card."""
        self.gpg("--card-status")  # here the agent learns of the key
        parameters = self.home / "parameters"
        parameters.write_text(PARAMETERS.format(grip=self.grip()))
        self.gpg("--gen-key", parameters)


@pytest.fixture
def card(token: TokenUnderTest, authority: LittleAuthority, tmp_path: Path) -> Iterator[Card]:
    make_pair(token, "rsa:2048", "01", "holder")
    certify(token, authority, "01", "holder", tmp_path)
    card = Card(token, tmp_path)
    yield card
    card.run("gpgconf", "--kill", "all")


def test_gpg_knows_the_card(card: Card) -> None:
    assert "Application ID" in card.gpg("--card-status")
    card.adopt()
    listed = card.gpg("--list-secret-keys", "--with-keygrip")
    assert "sec>  rsa2048" in listed  # the mark says that the secret is on a card
    assert f"Keygrip = {card.grip()}" in listed


def test_gpg_signs_and_verifies(card: Card, tmp_path: Path) -> None:
    card.adopt()
    message, signature = tmp_path / "message", tmp_path / "message.sig"
    message.write_text("what was shown is what was signed\n")
    card.gpg("--detach-sign", "--output", signature, message)
    assert 'Good signature from "holder"' in card.gpg("--verify", signature, message)
    card.gpg("--clearsign", message)
    assert "Good signature" in card.gpg("--verify", tmp_path / "message.asc")

    message.write_text("another message\n")
    assert "BAD signature" in card.gpg("--verify", signature, message, expect=1)
