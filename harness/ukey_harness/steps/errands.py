"""What is done to a key besides the holder's own commands: each in a process of its own.

They run at the workplace (see `workplace`), take their request as JSON from standard input, so
that PINs are on no command line, and answer in JSON.
"""

import base64
import json
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding

from ukey_client.login.portal import Portal
from ukey_client.login.signature import sign_detached
from ukey_client.token import Way
from ukey_harness.world.ca.authority import CertificateAuthority
from ukey_harness.world.card_counter import put_on_card
from ukey_harness.world.clock import Clock
from ukey_harness.world.counter import Counter
from ukey_harness.world.units import Unit


def provision(argv: Sequence[str]) -> int:
    """Do the counter's work on a key: pair, certificate and seal (see Counter.provision)."""
    return _answer(argv, _provision)


def challenge(argv: Sequence[str]) -> int:
    """Sign a portal's challenge and hand the signature out instead of sending it."""
    return _answer(argv, _challenge)


def _provision(request: dict[str, Any]) -> dict[str, Any]:
    clock = Clock()
    clock.set(datetime.fromisoformat(request["now"]))
    authority = CertificateAuthority.open(Path(request["folder"]), request["ca_url"], clock)
    try:
        certificate = Counter(authority).provision(
            request["module"],
            token_label=request["label"],
            pin=request["pin"],
            unit=Unit(**request["unit"]),
            key=request["key"],
            valid_days=request["valid_days"],
            not_before=None
            if request["not_before"] is None
            else datetime.fromisoformat(request["not_before"]),
        )
        if request["reader"] is not None:
            put_on_card(
                request["reader"], request["pin"], Unit(**request["unit"]), authority.chain()
            )
    finally:
        authority.close()
    return {"certificate": certificate.public_bytes(Encoding.PEM).decode()}


def _challenge(request: dict[str, Any]) -> dict[str, Any]:
    with (
        _way(request["way"]).open() as token,
        Portal(request["portal"]) as portal,
    ):
        held = token.certificates()[0]
        token.login(request["pin"])
        asked = portal.challenge()
        signature = sign_detached(
            token,
            held,
            asked.text.encode(),
            signing_time=datetime.now(UTC),
            chain=token.authorities(),
        )
    return {"id": asked.id, "signature": base64.b64encode(signature).decode()}


def _way(environment: dict[str, str]) -> Way:
    return Way(
        environment.get("PKCS11_MODULE", ""),
        environment.get("UKEY_READER"),
        environment.get("UKEY_TOKEN"),
    )


def _answer(argv: Sequence[str], do: Callable[[dict[str, Any]], dict[str, Any]]) -> int:
    del argv
    try:
        answer = do(json.load(sys.stdin))
    except Exception as error:  # noqa: BLE001 - the asker gets every fault as a sentence
        answer = {"error": f"{type(error).__name__}: {error}"}
    json.dump(answer, sys.stdout, ensure_ascii=False)
    return 0
