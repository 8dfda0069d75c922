"""`--probabilities`: what `item serve` tells of the hits of a query, learned from the queries that were asked."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from item_embed.cli.evaluating.request import Request
from item_embed.cli.evaluating.subject import Subject

if TYPE_CHECKING:
    from item_embed.evaluation.query_probability import Learned
    from item_embed.evaluation.same_product import SameProductResult


def check_probabilities(request: Request) -> None:
    """Refuse, before the work, queries that teach nothing of queries, and a file that is another.

    Raises:
        ConfigError: saying which option is in the way.
        OutputError: when the file is there and holds something else.
    """
    from item_embed.errors import ConfigError, VectorError
    from item_embed.files import OutputError, check_output
    from item_embed.search.query_product import QueryProbabilities

    path = request.probabilities
    if path is None:
        return
    if request.queries is None and request.relist is None:
        raise ConfigError(
            "--probabilities are of queries from outside, and listings of the catalogue are nearer to each other than "
            "those; give --queries FILE, or --relist N to simulate some."
        )
    if request.mask_shared_words:
        raise ConfigError("--probabilities are of whole titles; leave --mask-shared-words out.")
    if not path.is_file():
        check_output(path, "--probabilities")
        return
    try:
        QueryProbabilities.read(path)
    except VectorError:
        raise OutputError(f"--probabilities {path} exists and holds something else; choose another name.") from None


def learn(request: Request, subject: Subject, result: "SameProductResult") -> "Learned | None":
    """Learn and write them, where that was asked for."""
    from item_embed.evaluation.query_probability import learn_probabilities

    if request.probabilities is None:
        return None
    vectors, fingerprint = subject.vectors(result.modalities), subject.embedder.fingerprint
    learned = learn_probabilities(result, vectors, fingerprint, _source(request, subject))
    learned.kept.write(request.probabilities)
    return learned


def summary(learned: "Learned | None", path: Path | None) -> str:
    """The sentence that is added to a task's summary."""
    if learned is None:
        return ""
    error, of_first = learned.kept.calibration_error, learned.kept.first_hit_error
    if error is None:
        return f" Probabilities are in {path}; there are too few products to say how good they are."
    return (
        f" Probabilities are in {path}: on products not learned from, their calibration error is {error:.3f}, of first "
        f"hits {of_first:.3f}."
    )


def as_json(learned: "Learned | None", path: Path | None) -> dict[str, Any]:
    """What is added to a task's object."""
    return {} if learned is None else {"probabilities": {"file": str(path), **learned.as_json()}}


def _source(request: Request, subject: Subject) -> str:
    if request.queries is not None:
        return request.queries.name
    return f"--relist {request.relist} --split {subject.split} --seed {request.seed}"
