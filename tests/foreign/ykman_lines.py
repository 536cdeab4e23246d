"""Run ykman once for each line of standard input, in one process: to start it takes the longest.

Each line is a JSON list of its arguments; for each comes a line with its exit code and what it
printed.
"""

import contextlib
import io
import json
import logging
import sys

from ykman._cli.__main__ import main


def run(words: list[str]) -> tuple[int, str]:
    """Run ykman's own entry point; give its exit code and what it printed."""
    printed = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
    logging.getLogger().handlers.clear()  # it adds one each time
    sys.argv = ["ykman", *words]
    code: object = 0
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        try:
            main()
        except SystemExit as end:
            code = end.code
    printed.flush()
    return int(str(code or 0)), printed.buffer.getvalue().decode()  # type: ignore[attr-defined]


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(run(json.loads(line))), flush=True)  # noqa: T201
