"""A service of the dummy in a process of its own: `python -m tests.serving.served FOLDER`, which prints its address."""

import sys
import time
from pathlib import Path

from item_embed.serving import server
from item_embed.serving.app import Settings, build_app
from item_embed.serving.limits import MEGABYTE, Limits
from item_embed.serving.server import address_of, bind, run
from tests.serving.made import make_index, make_shop

SECONDS = 1.0  # for a head, and for a body
SLOW = 0.5  # of each batch


def main(folder: Path) -> None:
    """Serve until a signal."""
    server.HEAD_SECONDS = SECONDS
    limits = Limits(body_bytes=MEGABYTE, body_seconds=SECONDS, seconds=5)
    app = build_app(make_shop(make_index(folder), lambda: time.sleep(SLOW)), Settings(limits))
    listening = bind("127.0.0.1", 0)
    run(app, listening, limits, lambda: print(address_of(listening), flush=True))
    print("ended", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
