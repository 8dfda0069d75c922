"""`item serve`: an index over HTTP, with a page."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from item_embed.cli.console import print_json, progress, say
from item_embed.wording import number_of

if TYPE_CHECKING:
    from item_embed.serving.limits import Limits

_KEY = "ITEM_API_KEY"
_PORT = "ITEM_LISTEN_PORT"  # not ITEM_PORT: Kubernetes sets that, to a URL, where it has a service named `item`
_MOST = 1_000_000  # megabytes, or seconds


def command(
    index: Annotated[str, typer.Argument(help="Index made by `item index`: a folder, or a postgresql:// URL.")],
    *,
    model: Annotated[
        Path | None,
        typer.Option(help="The model's folder, or its export, if it is not where it was when the vectors were made."),
    ] = None,
    duplicates: Annotated[
        Path | None,
        typer.Option(help="What `item duplicates` wrote: probabilities of two listings, and pairs to review."),
    ] = None,
    categories: Annotated[Path | None, typer.Option(help="What `item classify fit` wrote: categories.")] = None,
    query_probabilities: Annotated[
        Path | None,
        typer.Option(help="What `item evaluate --probabilities` wrote: probabilities of the hits of queries."),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, envvar=_PORT, help="Port to listen at; 0 for any that is free.")
    ] = 8000,
    api_key_file: Annotated[
        Path | None,
        typer.Option(
            help="File with the key that requests must carry.", show_default=f"what {_KEY} holds, if it is set"
        ),
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="Device of torch, as cuda.", show_default="ONNX Runtime on the CPU")
    ] = None,
    max_megabytes: Annotated[float, typer.Option(help="The longest body of a request.")] = 10,
    max_megapixels: Annotated[float, typer.Option(help="The largest photo, by its header.")] = 64,
    timeout: Annotated[float, typer.Option(help="Seconds until a request is answered, or is not.")] = 15,
    queue: Annotated[int, typer.Option(help="Products that may wait for the model.")] = 256,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object when it listens.")] = False,
) -> None:
    """Serve an index over HTTP, with a page.

    It answers searches, tells vectors, same products, categories and reasons, and keeps a review of duplicates.
    """
    from item_embed.errors import ItemError, installing

    try:
        import fastapi  # noqa: F401
        import prometheus_client  # noqa: F401
        import python_multipart  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError:
        raise ItemError(f"serving needs FastAPI and uvicorn; {installing('serve,onnx')}.") from None

    from item_embed.search.index import ProductIndex
    from item_embed.serving.app import Settings, build_app
    from item_embed.serving.encoder import open_encoder
    from item_embed.serving.explaining import explainer
    from item_embed.serving.server import address_of, bind, is_loopback, run
    from item_embed.serving.shop import Shop

    settings = Settings(
        _limits(max_megabytes, max_megapixels, timeout, queue),
        key=_key(api_key_file),
        loopback=is_loopback(host),
        host=host,
    )
    products = ProductIndex.open(index)
    with bind(host, port) as listening:
        embedder = open_encoder(products, model, device, progress)
        shop = Shop.open(
            products,
            embedder,
            duplicates,
            categories,
            explain=explainer(embedder),
            query_probabilities=query_probabilities,
        )
        app, address = build_app(shop, settings), address_of(listening)

        def on_start() -> None:
            if as_json:
                print_json({"address": address, "products": len(products), "fingerprint": products.fingerprint})
            else:
                print(f"{number_of(len(products), 'product')} served at {address}; Ctrl-C ends it.", flush=True)

        if settings.key is None and not settings.loopback:
            say(
                f"warning: {host} can be reached from other machines, and no key is asked for; give --api-key-file "
                f"FILE or set {_KEY}, and put what speaks TLS in front."
            )
        run(app, listening, settings.limits, on_start)
    say("stopped: all requests that had begun are answered.")


def _limits(megabytes: float, megapixels: float, timeout: float, queue: int) -> "Limits":
    from item_embed.errors import ConfigError
    from item_embed.serving.limits import MEGABYTE, Limits

    for option, value in (("--max-megabytes", megabytes), ("--max-megapixels", megapixels), ("--timeout", timeout)):
        if not 0 < value <= _MOST:  # nor is `nan`
            raise ConfigError(f"{option} must be above 0 and at most {_MOST:,}.")
    return Limits(
        body_bytes=round(megabytes * MEGABYTE),
        pixels=round(megapixels * 1_000_000),
        seconds=timeout,
        body_seconds=timeout,
        queue=queue,
    )


def _key(file: Path | None) -> str | None:
    """The key, from a file or from the environment, where no list of processes shows it."""
    from item_embed.errors import ConfigError

    if file is None:
        key, where = os.environ.get(_KEY, "").strip(), _KEY
        if not key:
            return None
    else:
        where = f"--api-key-file {file}"
        try:
            key = file.read_text(encoding="utf8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is no text"
            raise ConfigError(f"{where} cannot be read ({reason}); give a file that holds the key.") from None
    if len(key) < 16 or not (key.isascii() and key.isprintable()) or " " in key:
        raise ConfigError(
            f"{where} holds no key, 16 or more letters, digits or signs; make one with: openssl rand -hex 32."
        )
    return key
