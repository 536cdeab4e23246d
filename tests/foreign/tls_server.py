"""A TLS server on loopback: openssl s_server, which answers with a page about the connection."""

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from token_under_test import TokenUnderTest

NAME = ("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost")


@contextmanager
def tls_server(*words: str | Path, environment: Mapping[str, str]) -> Iterator[str]:
    """Run it on a free port, with these options and additions to the environment: give the port."""
    with subprocess.Popen(
        ["openssl", "s_server", "-accept", "127.0.0.1:0", "-www", *map(str, words)],
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as server:
        assert server.stdout
        try:
            for line in server.stdout:
                if line.startswith("ACCEPT"):
                    yield line.rpartition(":")[2].strip()
                    return
            pytest.fail("the server did not come up")
        finally:
            server.kill()


def soft_identity(token: TokenUnderTest, folder: Path) -> tuple[Path, Path]:
    """Make a key in a file and a certificate for localhost; give the paths of both."""
    key, certificate = folder / "server.key", folder / "server.pem"
    made = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key)
    token.run("openssl", "req", "-x509", *made, *NAME, "-out", certificate)
    return key, certificate


def demanding(client: Path) -> tuple[str | Path, ...]:
    """Give the options that let in nobody without a certificate of that authority, or that one."""
    return ("-Verify", "1", "-verify_return_error", "-CAfile", client)
