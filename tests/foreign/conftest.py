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
from little_authority import LittleAuthority
from token_under_test import TokenUnderTest, emulated_token, softhsm_token


def _token(folder: Path, *, initialized: bool) -> AbstractContextManager[TokenUnderTest]:
    module = os.environ.get("UKEYLAB_FOREIGN_MODULE")
    if module:
        return softhsm_token(module, folder, initialized=initialized)
    return emulated_token(initialized=initialized)


@pytest.fixture
def token(tmp_path: Path) -> Iterator[TokenUnderTest]:
    """Give an initialised token with a user PIN, seen by nobody else."""
    with _token(tmp_path, initialized=True) as token:
        yield token


@pytest.fixture
def blank_token(tmp_path: Path) -> Iterator[TokenUnderTest]:
    """Give a token that waits for C_InitToken."""
    with _token(tmp_path, initialized=False) as token:
        yield token


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
