"""Tokens for foreign programs.

UKEYLAB_FOREIGN_MODULE=/usr/lib/softhsm/libsofthsm2.so puts SoftHSM2 in the place of our module:
so one sees whether a test asks what the program asks, or only what our module happens to do.
"""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pkcs11
import pytest
from card_under_test import CardUnderTest
from little_authority import LittleAuthority
from token_under_test import TokenUnderTest, emulated_token, softhsm_token

from ukey_emulator.remote import RackProcess


@pytest.fixture(scope="session")
def rack() -> Iterator[RackProcess]:
    """Run a rack for the tokens of this process, one at a time."""
    with RackProcess.start() as rack:
        yield rack


def fresh(
    request: pytest.FixtureRequest, *, initialized: bool
) -> AbstractContextManager[TokenUnderTest]:
    """Give a token of our module, or of the one that the environment names."""
    module = os.environ.get("UKEYLAB_FOREIGN_MODULE")
    if module:
        folder = request.getfixturevalue("tmp_path")
        return softhsm_token(module, folder, initialized=initialized)
    return emulated_token(request.getfixturevalue("rack"), initialized=initialized)


@pytest.fixture
def token(request: pytest.FixtureRequest) -> Iterator[TokenUnderTest]:
    """Give an initialised token with a user PIN, seen by nobody else."""
    with fresh(request, initialized=True) as token:
        yield token


@pytest.fixture
def blank_token(request: pytest.FixtureRequest) -> Iterator[TokenUnderTest]:
    """Give a token that waits for C_InitToken."""
    with fresh(request, initialized=False) as token:
        yield token


@pytest.fixture
def card(rack: RackProcess, tmp_path: Path) -> Iterator[CardUnderTest]:
    """Give a fresh key's card, the only one in a reader."""
    with emulated_token(rack, initialized=True) as token:
        yield CardUnderTest(token, rack.readers_socket, tmp_path)


@pytest.fixture
def library(token: TokenUnderTest, monkeypatch: pytest.MonkeyPatch) -> Iterator[pkcs11.lib]:
    """Load the token's module into this process, through python-pkcs11."""
    for name, value in token.environment.items():
        monkeypatch.setenv(name, value)
    library = pkcs11.lib(token.module)
    library.reinitialize()  # another test may have left it at another rack
    yield library
    library.finalize()


@pytest.fixture(scope="session")
def authority() -> LittleAuthority:
    """Give a root and an issuing authority that certify any public key."""
    return LittleAuthority()
