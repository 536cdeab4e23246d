"""`python -m ukey_emulator.rack HOME lasting|passing`: a rack that ends with its standard input."""

import logging
import sys
from pathlib import Path

from .home import RackError
from .rack import Rack


def main() -> int:
    """Serve until standard input ends; print "ready" once the rack listens."""
    logging.basicConfig(format="ukey rack: %(levelname)s %(message)s")
    try:
        with Rack(Path(sys.argv[1]), lasting=sys.argv[2] == "lasting"):
            sys.stdout.write("ready\n")
            sys.stdout.flush()
            sys.stdin.buffer.read()
    except RackError as error:
        sys.stderr.write(f"ukey rack: {error}\n")
        return 1
    except KeyboardInterrupt:
        pass
    return 0


if __name__ == "__main__":
    sys.exit(main())
