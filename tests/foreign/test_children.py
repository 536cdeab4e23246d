"""Programs that begin others while they use the token: Python's ways to fork, and Java's."""

import sys
from pathlib import Path

import pytest
from test_java import JAVA
from token_under_test import TokenUnderTest

HERE = Path(__file__).parent


@pytest.mark.parametrize("how", ["os", "fork", "spawn"])
def test_children_of_python_sign_as_their_parent_does(token: TokenUnderTest, how: str) -> None:
    told = token.run(sys.executable, HERE / "forking.py", token.module, token.label, token.pin, how)
    assert told.endswith("60 right in children\n")


def test_threads_of_java_sign_while_others_start_programs(
    token: TokenUnderTest, tmp_path: Path
) -> None:
    configuration = tmp_path / "p11.cfg"
    configuration.write_text(f"name = UnderTest\nlibrary = {token.module}\nslotListIndex = 0\n")
    told = token.run("java", HERE / "java" / "Spawn.java", configuration, token.pin, extra=JAVA)
    assert "signed 120, started 20\n" in told
