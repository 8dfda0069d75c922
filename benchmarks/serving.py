"""`item serve` beside its own encoder: 64 clients on loopback, a bounded run.

    OMP_NUM_THREADS=1 python benchmarks/serving.py index --catalog catalog [--model exported] [--requests 2000]

The encoder alone embeds the products of the requests, decoded, in batches of 32, in this process; then clients ask a
service in another process, each for its next product when the last is answered; in turns, so that other work on the
machine is the same for both. Of requests and of batches the median of the rounds is shown.

Besides rates by the clock, of a machine that clients, service and other work share: CPU milliseconds of a request by
thread of the service. They tell what a machine with a core for each of these threads can do, since the slowest of them
sets the pace: `by CPU` is the encoder's own time over that of the slowest. `search` asks for a photo and a title;
`embed` for the vectors of so many products.
"""

import argparse
import asyncio
import base64
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path

from item_embed import Catalog, Embedder, ProductIndex
from item_embed.catalog.photos.images import decode
from item_embed.serving.encoder import open_encoder

CLIENTS = 64
BATCH = 32
SEVERAL = 4  # products of a request: of 64 clients as many as may wait
_TICKS = os.sysconf("SC_CLK_TCK")
_BOUNDARY = "serving"


@dataclass
class Load:
    """What clients ask, one after the other, and what came of it.

    Attributes:
        requests: whole requests as bytes; each is asked again and again.
        products: of each request.
        milliseconds: until each was answered.
        wrong: statuses that were not 200, with their bodies.
        seconds: of all of it.
    """

    requests: Sequence[bytes]
    products: int
    milliseconds: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    seconds: float = 0

    @property
    def rate(self) -> float:
        """Products a second."""
        return len(self.milliseconds) * self.products / self.seconds

    def percentile(self, share: float) -> float:
        """Milliseconds within which so many of a hundred were answered."""
        return statistics.quantiles(self.milliseconds, n=1000, method="inclusive")[round(share * 10) - 1]

    def run(self, address: str, count: int, seconds: float) -> None:
        """Let 64 clients ask so many requests, or for so long."""
        asyncio.run(self._run(address, count, seconds))

    async def _run(self, address: str, count: int, seconds: float) -> None:
        host, _, port = address.removeprefix("http://").partition(":")
        left = islice(cycle(self.requests), count)
        until = time.perf_counter() + seconds
        began = time.perf_counter()
        await asyncio.gather(*(self._client(host, int(port), left, until) for _ in range(CLIENTS)))
        self.seconds += time.perf_counter() - began

    async def _client(self, host: str, port: int, left: Iterator[bytes], until: float) -> None:
        reader, writer = await asyncio.open_connection(host, port)
        for request in left:
            began = time.perf_counter()
            if began > until:
                break
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            body = await reader.readexactly(length)
            self.milliseconds.append(1000 * (time.perf_counter() - began))
            if not head.startswith(b"HTTP/1.1 200 "):
                self.wrong.append(f"{head[9:12].decode()} {body.decode()}")
        writer.close()
        await writer.wait_closed()


@dataclass(frozen=True)
class Served:
    """A service in a process of its own: its address, and the threads that are known by name."""

    address: str
    process: int
    threads: dict[str, int]

    def cpu(self) -> dict[str, float]:
        """CPU seconds so far: of the thread that speaks HTTP, the encoder's, the search's, and all others."""
        names = {number: name for name, number in self.threads.items()}
        seconds: defaultdict[str, float] = defaultdict(float)
        for task in Path(f"/proc/{self.process}/task").iterdir():
            numbers = (task / "stat").read_text().rpartition(")")[2].split()
            seconds[names.get(int(task.name), "others")] += (int(numbers[11]) + int(numbers[12])) / _TICKS
        return dict(seconds)


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("index")
    parser.add_argument("--catalog", type=Path, required=True)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--requests", type=int, default=2000, help="of each round")
    parser.add_argument("--seconds", type=float, default=60, help="of each round at most")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.index, arguments.model)
    else:
        measure(arguments)


def measure(arguments: argparse.Namespace) -> None:
    """Ask both in turns, and print what was found."""
    photos, titles = products(Catalog(arguments.catalog), 256)
    loads = {
        "search": Load([searching(*one) for one in zip(photos, titles, strict=True)], 1),
        "embed, 1 product": Load([embedding([one]) for one in zip(photos, titles, strict=True)], 1),
        f"embed, {SEVERAL} products": Load([embedding(few) for few in several(photos, titles)], SEVERAL),
    }
    encoder = open_encoder(ProductIndex.open(arguments.index), arguments.model)
    batches = Batches(encoder, photos, titles)
    spent: dict[str, defaultdict[str, float]] = {name: defaultdict(float) for name in loads}
    shares: dict[str, list[float]] = {name: [] for name in loads}
    with served(arguments) as service:
        for load in loads.values():
            Load(load.requests, 1).run(service.address, CLIENTS, arguments.seconds)  # to be warm
        for _ in range(arguments.rounds):
            for name, load in loads.items():
                before, own, done, taken = service.cpu(), batches.rate(), len(load.milliseconds), load.seconds
                load.run(service.address, arguments.requests // load.products, arguments.seconds)
                for thread, seconds in service.cpu().items():
                    spent[name][thread] += seconds - before.get(thread, 0)
                rate = (len(load.milliseconds) - done) * load.products / (load.seconds - taken)
                shares[name].append(rate / statistics.mean([own, batches.rate()]))
    own = 1000 * statistics.median(batches.cpu)
    print(f"encoder alone: {own:.2f} CPU ms, {1 / statistics.median(batches.clock):.0f} products/s by the clock")
    print(
        "| asked | products/s | of encoder's | errors | p50, p99 ms | CPU ms: HTTP, encoder, search, other | by CPU |"
    )
    print(f"|{'---|' * 7}")
    for name, load in loads.items():
        cpu = {
            thread: 1000 * seconds / len(load.milliseconds) / load.products for thread, seconds in spent[name].items()
        }
        parts = ", ".join(f"{cpu.get(thread, 0):.2f}" for thread in ("http", "encoder", "search", "others"))
        print(
            f"| {name} | {load.rate:.0f} | {statistics.median(shares[name]):.0%} | {len(load.wrong)} of "
            f"{len(load.milliseconds):,} | {load.percentile(50):.0f}, {load.percentile(99):.0f} | {parts} | "
            f"{own / max(cpu.values()):.0%} |"
        )
        for wrong in load.wrong[:3]:
            print(wrong, file=sys.stderr)


class Batches:
    """The encoder alone: seconds of a product, by the clock and of CPU."""

    def __init__(self, embedder: Embedder, photos: Sequence[bytes], titles: Sequence[str]) -> None:
        self._embedder, self._titles = embedder, titles
        self._photos = [decode(photo, embedder.image_size) for photo in photos]
        self.clock: list[float] = []
        self.cpu: list[float] = []
        self._embedder.embed(self._photos, self._titles, batch_size=BATCH)  # to be warm

    def rate(self) -> float:
        """Products a second, now."""
        clock, cpu = time.perf_counter(), time.process_time()
        self._embedder.embed(self._photos, self._titles, batch_size=BATCH)
        self.cpu.append((time.process_time() - cpu) / len(self._titles))
        self.clock.append((time.perf_counter() - clock) / len(self._titles))
        return 1 / self.clock[-1]


def products(catalog: Catalog, count: int) -> tuple[list[bytes], list[str]]:
    """Photos and titles of the first products that have both, again from the first where there are too few."""
    found = []
    for row in range(len(catalog)):
        photo, title = catalog.photo(row), catalog.titles[row]
        if photo and title:
            found.append((photo, title))
        if len(found) == count:
            break
    photos, titles = zip(*islice(cycle(found), count), strict=True)
    return list(photos), list(titles)


def several(photos: Sequence[bytes], titles: Sequence[str]) -> Iterator[list[tuple[bytes, str]]]:
    """The products, a few at a time."""
    for start in range(0, len(titles), SEVERAL):
        few = slice(start, start + SEVERAL)
        yield list(zip(photos[few], titles[few], strict=True))


def searching(photo: bytes, title: str) -> bytes:
    """A search as a browser sends it."""
    part = f"--{_BOUNDARY}\r\nContent-Disposition: form-data; name="
    body = (
        f'{part}"title"\r\n\r\n{title}\r\n{part}"image"; filename="a.jpg"\r\nContent-Type: image/jpeg\r\n\r\n'.encode()
        + photo
        + f"\r\n--{_BOUNDARY}--\r\n".encode()
    )
    return request("/v1/search", f"multipart/form-data; boundary={_BOUNDARY}", body)


def embedding(shown: Sequence[tuple[bytes, str]]) -> bytes:
    """The embedding of some products."""
    asked = [{"title": title, "image": base64.b64encode(photo).decode()} for photo, title in shown]
    return request("/v1/embed", "application/json", json.dumps({"products": asked}).encode())


def request(path: str, kind: str, body: bytes) -> bytes:
    """A whole request."""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


@contextmanager
def served(arguments: argparse.Namespace) -> Iterator[Served]:
    """The service, until the end."""
    model = ["--model", str(arguments.model)] if arguments.model else []
    command = [sys.executable, __file__, arguments.index, "--catalog", str(arguments.catalog), *model, "--serve"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            told = json.loads(process.stdout.readline())
            yield Served(told["address"], process.pid, told["threads"])
        finally:
            process.terminate()


def serve(index: str, model: Path | None) -> None:
    """What `item serve` does, telling its threads."""
    from item_embed.serving.app import build_app
    from item_embed.serving.limits import Limits
    from item_embed.serving.server import address_of, bind, run
    from item_embed.serving.shop import Shop

    shop = Shop.open(products := ProductIndex.open(index), open_encoder(products, model))
    listening = bind("127.0.0.1", 0)

    def on_start() -> None:
        known = {"MainThread": "http", "the encoder": "encoder", "the search": "search"}
        threads = {known[one.name]: one.native_id for one in threading.enumerate() if one.name in known}
        print(json.dumps({"address": address_of(listening), "threads": threads}), flush=True)

    run(build_app(shop), listening, Limits(), on_start)


if __name__ == "__main__":
    main()
