"""`--task reconstruction`: what [CLS] and the positions say of masked words and patches."""

from functools import partial
from typing import TYPE_CHECKING

from item_embed.cli.console import progress
from item_embed.cli.evaluating.outcome import Outcome
from item_embed.cli.evaluating.request import Request, Split
from item_embed.cli.evaluating.subject import Subject
from item_embed.wording import number_of

if TYPE_CHECKING:
    from item_embed.evaluation.reconstruction import Reconstruction
    from item_embed.evaluation.report import Section, Table


def reconstruction(request: Request, subject: Subject) -> Outcome:
    """Predict masked words and patches of held-out rows."""
    model = subject.folder  # refuses what has none before torch is loaded

    from item_embed.evaluation.reconstruction import evaluate_reconstruction
    from item_embed.evaluation.report import reconstruction_table

    split = (request.split or Split.TEST).value
    with progress("reconstructing") as on_progress:
        found = evaluate_reconstruction(model, subject.catalog, split, request.seed, on_progress)
    return Outcome(
        summary=f"{number_of(found.rows, 'row')}{'' if split == 'all' else f' of the {split} split'}{_alone(found)}.",
        as_json=found.as_json,
        make_tables=lambda: [reconstruction_table(found)],
        make_section=partial(_section, subject, found),
    )


def _alone(found: "Reconstruction") -> str:
    """What [CLS] alone knows of words, where it was asked."""
    if "gmlm_top1" not in found.model:
        return ""
    guessed, by_position = found.model["gmlm_top1"].text(), found.position_only["top1"].text()
    return f": [CLS] alone guesses {guessed} of the hidden words, the position alone {by_position}"


def _section(subject: Subject, found: "Reconstruction", tables: "list[Table]", summary: str) -> "Section":
    from item_embed.evaluation.pictures import constructed, shown_rows
    from item_embed.evaluation.reconstruction import Masking
    from item_embed.evaluation.sections import reconstruction_section

    seed = subject.request.seed
    masking = Masking.of(subject.folder, subject.catalog, seed)
    pictures = constructed(masking, shown_rows(subject.catalog, found.split, seed=seed))
    return reconstruction_section(found, tables, summary, pictures)
