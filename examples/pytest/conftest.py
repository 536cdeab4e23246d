"""The keys of these tests: one is prepared, each test gets a copy of its own."""

from collections.abc import Iterator

import pkcs11
import pytest
from signing import Signer


@pytest.fixture(scope="session")
def prepared(ukey_factory) -> str:
    """Give a snapshot of a key with a key pair on it; a copy of it takes a millisecond."""
    with ukey_factory.new(label="signing") as key:
        token = pkcs11.lib(key.module).get_token(token_label=key.label)
        with token.open(rw=True, user_pin=key.pin) as session:
            session.generate_keypair(pkcs11.KeyType.RSA, 2048, label="seal", store=True)
        return key.snapshot("prepared", keep=True)


@pytest.fixture
def signer(ukey) -> Iterator[Signer]:
    """Give the service, at the key of the test."""
    with Signer(ukey.module, ukey.label, "seal") as signer:
        yield signer
