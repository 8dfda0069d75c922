"""The methods of a comparison, one after the other or side by side; what is done is not done again."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from urllib.parse import quote

from item_embed.categories.linear import tfidf_linear
from item_embed.embedding.seen import Modalities
from item_embed.errors import ConfigError
from item_embed.evaluation.attempts import State, attempt, side_by_side
from item_embed.evaluation.baselines import METHODS, describe_catalog, simple_parts, weighted
from item_embed.evaluation.comparison.cost import timed, told_before
from item_embed.evaluation.comparison.entry import Entry, Facts, read_entry, write_entry
from item_embed.evaluation.comparison.setup import Setup
from item_embed.evaluation.learners.choosing import check_settings, learner, models_of
from item_embed.evaluation.learners.concatenation import Concatenation
from item_embed.evaluation.learners.hybrid import PREFIX as HYBRID
from item_embed.evaluation.learners.hybrid import Hybrid
from item_embed.evaluation.learners.trained import is_done
from item_embed.evaluation.learners.whitened import FUSED, PREFIX
from item_embed.evaluation.measured import Sums, alone, retrieval_sums
from item_embed.evaluation.measuring import Questions, classified, measure, measure_hybrid
from item_embed.evaluation.same_product import Scorer, evaluate_scorer
from item_embed.evaluation.simple_weights import FittedWeights, fit_simple_weights
from item_embed.files import locked
from item_embed.hashing import text_hash
from item_embed.progress import Stages, silent_stages
from item_embed.search.exact import tie_keys
from item_embed.training.initial import OnRemark, unsaid

#: What each side of a product is to the simple sum.
_SIDES: dict[Modalities, tuple[str, ...]] = {"image": ("pixels", "colours"), "title": ("words",)}

#: Methods that load what others have learnt, where it is there.
_LOADS = {Concatenation.name: {part.name for part in Concatenation.parts}}

_LONG_NAME = 100  # letters of a folder's name, of which file systems take 255 bytes


@dataclass(frozen=True)
class Comparison:
    """What came out so far.

    Attributes:
        questions: what every method was asked.
        entries: of each method those of its seeds, in the order asked for.
        left_out: the methods that could not be trained or measured, and why.
    """

    questions: Questions
    entries: dict[str, list[Entry]]
    left_out: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Job:
    """A method that is trained and measured with one seed.

    Attributes:
        setup: what all methods share.
        method: its name; of `frozen:A,B,C` that of one model.
        seed: it is trained with; of `frozen:A,B,C` which model it is, counted on from the first seed.
        row: its name in tables; of `frozen:A,B,C` that of the first model.
    """

    setup: Setup
    method: str
    seed: int
    row: str

    @property
    def state(self) -> State:
        """How far it is."""
        if read_entry(self.folder) is not None:
            return State.MEASURED
        if is_done(self.folder):
            return State.TRAINED
        return State.BEGUN if self.folder.exists() else State.MISSING

    @property
    def folder(self) -> Path:
        """Where it keeps what it learns: one folder, even of a name such as `frozen:folder/model`, however long."""
        name = quote(self.method, safe="+=,:")
        if len(name) > _LONG_NAME:
            name = f"{name[:_LONG_NAME]}-{text_hash(name):016x}"
        return self.setup.out / "methods" / f"{name}-{self.seed}"


def compare(
    setup: Setup,
    methods: Sequence[str],
    seeds: int = 1,
    *,
    jobs: int = 1,
    stage: Stages = silent_stages,
    on_remark: OnRemark = unsaid,
) -> Comparison:
    """Train and measure the methods that are not measured yet, and gather all.

    A method that cannot learn from this catalogue, diverges, or runs out of memory is left out with its reason; the
    others go on.

    Args:
        setup: what all methods share.
        methods: names; see `learners.choosing` and `baselines.METHODS`.
        seeds: how often each learner is trained; a method that draws nothing is measured once.
        jobs: methods trained side by side, each in a process with one thread; 1: in this one with all cores.
        stage: told of the progress of each stage.
        on_remark: told how many trainings there will be, and after the first about how long the others will take.

    Raises:
        ConfigError: when a name or a setting is not known, or the folder holds another comparison.
        ConfigError, CatalogError: when there are no such queries.
        OutputError: when another process is at work in the folder.

    Examples:
        >>> setup = Setup(Path("comparison"), Path("catalog"), RunConfig.load("tiny"), Asked())   # doctest: +SKIP
        >>> found = compare(setup, ["simple", "clip", "item"])                                    # doctest: +SKIP
    """
    wanted = plan(setup, methods, seeds)
    left_out: dict[str, str] = {}
    with locked(setup.out):
        setup.begin()
        missing = [job for job in wanted if job.state is not State.MEASURED]
        if jobs > 1 and any(is_trained(job.method) for job in missing):
            _ = setup.material(setup.config.training.seed).tokenizer  # before processes that would all make it
        needed = trainings(missing)
        on_remark(told_before(needed.total(), setup.config.training))
        attempts = _attempts(missing, jobs, stage)
        for job, reason in timed(attempts, lambda job: needed[job.method, job.seed], needed.total(), jobs, on_remark):
            if reason:
                left_out[job.method] = reason
    return gather(setup, methods, seeds, left_out)


def plan(setup: Setup, methods: Sequence[str], seeds: int = 1) -> list[Job]:
    """What is trained and measured for a comparison, in the order of its tables; nothing is done.

    Raises:
        ConfigError: when a name or a setting is not known, or a frozen model is named twice.

    Examples:
        >>> [(job.method, job.seed, job.state) for job in plan(setup, ["simple", "item"], seeds=2)]  # doctest: +SKIP
        [('simple', 0, 'measured'), ('item', 0, 'trained'), ('item', 1, 'to do')]
    """
    jobs = list(_jobs(setup, methods, seeds))
    for method in dict.fromkeys(job.method for job in jobs):
        if method not in METHODS:
            check_settings(learner(method), setup.config)
    return jobs


def trainings(jobs: Sequence[Job]) -> Counter[tuple[str, int]]:
    """How many trainings each job will take, by method and seed: what others of them learn before is loaded."""
    found, claimed = Counter[tuple[str, int]](), set[tuple[str, int]]()
    for job in chain(*_in_order([job for job in jobs if job.state is not State.MEASURED and is_trained(job.method)])):
        for method in _learners(job.method):
            learnt = (job.folder / method, replace(job, method=method).folder)
            if (method, job.seed) not in claimed and not any(map(is_done, learnt)):
                claimed.add((method, job.seed))
                found[job.method, job.seed] += 1
    return found


def gather(setup: Setup, methods: Sequence[str], seeds: int, left_out: dict[str, str] | None = None) -> Comparison:
    """What is measured already, without training or measuring anything.

    Raises:
        ConfigError: when a name is not known, or the folder holds no comparison or another one.
    """
    setup.check()
    entries: dict[str, list[Entry]] = {}
    for job in _jobs(setup, methods, seeds):
        entry = read_entry(job.folder)
        if entry is not None:
            entries.setdefault(job.row, []).append(entry)
    return Comparison(setup.questions, entries, left_out or {})


def is_trained(method: str) -> bool:
    """Whether a method learns from the catalogue's rows, which can then not be asked for.

    Raises:
        ConfigError: when there is no such method.
    """
    return method not in METHODS and learner(method).trains


def _jobs(setup: Setup, methods: Sequence[str], seeds: int) -> Iterator[Job]:
    first = setup.config.training.seed
    wanted = {method: models_of(method) for method in methods}
    if twice := [model for model, times in Counter(chain(*wanted.values())).items() if times > 1]:
        raise ConfigError(f"{twice[0]} is named twice; name it once.")
    for method, models in wanted.items():
        for seed, model in enumerate(models * (seeds if is_trained(method) else 1), first):
            yield Job(setup, model, seed, models[0])


def _attempts(missing: Sequence[Job], jobs: int, stage: Stages) -> Iterator[tuple[Job, str | None]]:
    """Every job with the reason why it was not possible; with one at a time, each tells its own stages."""
    for part in _in_order(missing):
        if jobs == 1:
            yield from ((job, _make(job, stage)) for job in part)
        else:
            fresh = [replace(job, setup=replace(job.setup)) for job in part]  # without what was read: processes do that
            yield from side_by_side(_make, fresh, jobs, "training and measuring methods", stage)


def _in_order(missing: Sequence[Job]) -> list[list[Job]]:
    """The jobs in parts: what loads what others learn comes when they are done."""
    methods = {job.method for job in missing}

    def part_of(method: str) -> int:
        return 1 + max((part_of(other) for other in _loads(method) & methods), default=-1)

    parts: dict[int, list[Job]] = {}
    for job in missing:
        parts.setdefault(part_of(job.method), []).append(job)
    return [parts[number] for number in sorted(parts)]


def _loads(method: str) -> set[str]:
    """The methods whose folders a method looks into."""
    for prefix in (HYBRID, PREFIX, FUSED):
        if method.startswith(prefix):
            within = method.removeprefix(prefix)
            return {within} | _loads(within)
    return _LOADS.get(method, set())


def _learners(method: str) -> set[str]:
    """The methods that are trained for a method: it, the one that it is made of, or its parts."""
    return {one for one in _loads(method) or {method} if not _loads(one)}


def _make(job: Job, stage: Stages = silent_stages) -> str | None:
    """Train and measure a method; the reason where that is not possible."""
    return attempt(lambda: write_entry(job.folder, (_simple if job.method in METHODS else _learnt)(job, stage)))


def _learnt(job: Job, stage: Stages) -> Entry:
    setup, method = job.setup, learner(job.method)
    with stage(f"training {job.method}") as on_progress:
        fitted = method.fit(setup.material(job.seed), job.folder, setup.device, on_progress)
    ask = measure_hybrid if isinstance(method, Hybrid) else measure
    measured = ask(fitted.embeds, setup.questions, sees=method.sees, batch_size=setup.batch_size, stage=stage)
    spent = (fitted.samples, fitted.minutes, fitted.cpu_minutes)
    facts = Facts(method.sees, method.labels, fitted.parameters, *spent, note=fitted.note)
    return Entry(job.method, job.seed, facts, measured)


def _simple(job: Job, stage: Stages) -> Entry:
    """A simple method; the weights of the simple sum are fitted on validation queries."""
    questions, method = job.setup.questions, METHODS[job.method]
    catalog, queries = questions.catalog, questions.queries
    described, weights, note = None, dict(method.weights), ""
    if not weights.keys().isdisjoint(_SIDES["image"]):
        with stage("describing photos") as on_progress:
            described = describe_catalog(catalog, on_progress)
    if job.method == "simple":
        with stage("fitting the weights of the simple sum") as on_progress:
            fitted = fit_simple_weights(
                catalog, queries.rows, described=described, seed=questions.seed, on_progress=on_progress
            )
        weights, note = dict(fitted.weights), _told(fitted)
    with stage("describing queries") as on_progress:
        parts = simple_parts(catalog, queries, method.weights, on_progress, described=described)
    found = _ranked(job, parts, weights, stage)
    if method.modalities == "both":
        for side in questions.sides:
            found[alone(side)] = _ranked(job, parts, _side_weights(side, weights), stage)["macro_recall_at_10"]
    elif method.modalities in questions.sides:
        found[alone(method.modalities)] = found["macro_recall_at_10"]
    if job.method == "tfidf" and questions.leaves is not None:
        with stage("classifying"):
            found["accuracy"] = classified(tfidf_linear(catalog), questions.leaves)
    return Entry(job.method, job.seed, Facts(method.modalities, note=note), found)


def _side_weights(side: Modalities, weights: Mapping[str, float]) -> dict[str, float]:
    """Those of one side alone; the shipped ones where it has no weight in the sum, since no weight ranks nothing."""
    own = {name: weights[name] for name in _SIDES[side]}
    return own if any(own.values()) else {name: METHODS["simple"].weights[name] for name in own}


def _told(fitted: FittedWeights) -> str:
    photo = _side_weights("image", fitted.weights)
    apart = "" if photo.items() <= fitted.weights.items() else f"; the photo alone by {_listed(photo)}"
    return f"{_listed(fitted.weights)}, {fitted.told}{apart}"


def _listed(weights: Mapping[str, float]) -> str:
    return ", ".join(f"{weight:g} {name}" for name, weight in weights.items())


def _ranked(job: Job, parts: Mapping[str, Scorer], weights: Mapping[str, float], stage: Stages) -> dict[str, Sums]:
    queries = job.setup.questions.queries
    with stage(f"searching by {job.method}") as on_progress:
        result = evaluate_scorer(
            weighted(parts, weights),
            queries,
            tie_keys(job.setup.catalog.ids),
            method=job.method,
            modalities=METHODS[job.method].modalities,
            on_progress=on_progress,
        )
    return retrieval_sums(result.metrics, queries.products)
