"""The tasks of `item evaluate` by name, the options that each reads, and all of them in one call."""

from collections.abc import Callable
from dataclasses import dataclass

from item_embed.cli.evaluating.dominance import dominance
from item_embed.cli.evaluating.leaf_category import leaf_category
from item_embed.cli.evaluating.outcome import Outcome, tell
from item_embed.cli.evaluating.reconstruction import reconstruction
from item_embed.cli.evaluating.request import OPTIONS, Request
from item_embed.cli.evaluating.robustness import robustness
from item_embed.cli.evaluating.same_product import same_product
from item_embed.cli.evaluating.subject import Subject
from item_embed.errors import CatalogError, ModelError

ALL = "all"


@dataclass(frozen=True)
class Task:
    """What measures, and the options that it reads: others are refused."""

    measure: Callable[[Request, Subject], Outcome]
    reads: frozenset[str]

    @property
    def ignored(self) -> tuple[str, ...]:
        """The options that it has no use for."""
        return tuple(name for name in OPTIONS if name not in self.reads)


_ASKED = {"queries", "relist", "split", "vectors", "batch_size", "device"}  # by every task that asks queries

TASKS = {
    "same-product": Task(
        same_product,
        frozenset(
            _ASKED | {"modalities", "baselines", "hybrid", "mask_shared_words", "by", "variants", "probabilities"}
        ),
    ),
    "leaf-category": Task(
        leaf_category, frozenset({"vectors", "batch_size", "device", "modalities", "baselines", "by", "fine_tune"})
    ),
    "dominance": Task(dominance, frozenset(_ASKED | {"sample"})),
    "robustness": Task(robustness, frozenset(_ASKED | {"modalities", "sample"})),
    "reconstruction": Task(reconstruction, frozenset({"split"})),
}


def run_one(name: str, request: Request, subject: Subject) -> Outcome:
    """One task, on its own."""
    request.refuse(f"--task {name}", *TASKS[name].ignored)
    return TASKS[name].measure(request, subject)


def run_all(request: Request, subject: Subject) -> tuple[dict[str, Outcome], dict[str, str]]:
    """Every task that this model and catalogue allow, each told as soon as it is done, and why others are left out.

    An option that asks for what is not there leaves no task out: that is an error.

    Raises:
        CatalogError: when none can be measured.
    """
    request.refuse(f"--task {ALL}", "modalities")  # dominance needs each of them
    outcomes: dict[str, Outcome] = {}
    left_out: dict[str, str] = {}
    for name, task in TASKS.items():
        try:
            outcomes[name] = task.measure(_narrowed(name, request, subject), subject)
        except (CatalogError, ModelError) as error:
            left_out[name] = str(error)
            continue
        if not request.as_json:
            tell(outcomes[name])
    if not outcomes:
        reasons = dict.fromkeys(left_out.values())
        raise CatalogError(
            next(iter(reasons))
            if len(reasons) == 1
            else f"nothing of {request.model} can be measured on {subject.catalog.path}: {' '.join(reasons)}"
        )
    return outcomes, left_out


def _narrowed(name: str, request: Request, subject: Subject) -> Request:
    """The request with the options that a task reads."""
    from item_embed.evaluation.columns import has_column

    narrowed = request.without(*TASKS[name].ignored)
    asked = request.queries is not None or request.relist is not None
    if name == "leaf-category" and asked and request.by and not has_column(subject.catalog, request.by):
        subject.say(f"{request.by} is a column of the queries, so leaf-category is not told apart by it.")
        return narrowed.without("by")
    return narrowed
