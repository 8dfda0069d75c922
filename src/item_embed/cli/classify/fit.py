"""`item classify fit`: a classifier of leaf categories, learnt from the labelled rows of a catalogue."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from item_embed.cli.console import print_json, progress, say, table
from item_embed.embedding.seen import Modalities
from item_embed.wording import number_of

if TYPE_CHECKING:
    from item_embed.evaluation.categories.run import Made


def command(
    model: Annotated[Path, typer.Argument(help="Folder of a trained model, such as RUN/model; it stays as it is.")],
    catalog: Annotated[str, typer.Argument(help="Catalogue made by `item prepare`, labelled in all or some rows.")],
    *,
    out: Annotated[Path, typer.Option(help="Folder to write; it must not exist.")],
    vectors: Annotated[
        str | None, typer.Option(help="Vectors of this catalogue by `item embed`, with the same --modalities.")
    ] = None,
    modalities: Annotated[Modalities, typer.Option(help="What the model sees.")] = "both",
    fine_tune: Annotated[
        bool, typer.Option("--fine-tune", "--finetune", help="Train the encoder on the labels too; slow.")
    ] = False,
    precision: Annotated[float, typer.Option(help="Share of answers that must be right.")] = 0.95,
    seed: Annotated[int, typer.Option(min=0, help="Of intervals, and of fine-tuning.")] = 0,
    batch_size: Annotated[int, typer.Option(min=1, help="Products embedded at once.")] = 256,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, mps …; by default the best there is.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Learn leaf categories from labelled rows.

    It says how sure it is, and which labels are probably wrong.
    """
    from item_embed.catalog.store import Catalog
    from item_embed.evaluation.categories.run import FitSettings, make_classifier
    from item_embed.files import check_output

    check_output(out)
    tuning = None
    if fine_tune:
        from item_embed.categories.fine_tuning import FineTuning  # brings torch

        tuning = FineTuning(seed=seed)
    settings = FitSettings(
        vectors=vectors,
        modalities=modalities,
        fine_tuning=tuning,
        precision=precision,
        seed=seed,
        batch_size=batch_size,
        device=device,
    )
    made = make_classifier(model, Catalog(catalog), out, settings, progress)
    for remark in made.fitted.remarks:
        say(remark)
    if as_json:
        classifier = made.fitted.classifier
        print_json(
            {
                "out": str(out),
                "leaves": len(classifier.leaves),
                **classifier.told,
                "temperature": classifier.temperature,
                "suspects": len(made.labels.suspects),
                "test": made.quality.as_json(),
            }
        )
    else:
        _tell(out, made)


def _tell(out: Path, made: "Made") -> None:
    from item_embed.evaluation.categories.page import answers_table, levels_told

    shown = answers_table(made.quality)
    table(shown.title, list(shown.columns), [list(row) for row in shown.rows])
    print(shown.note)
    for told in levels_told(made.fitted):
        print(told)
    accuracy, suspects = made.quality.figures["accuracy"].text(), number_of(len(made.labels.suspects), "label")
    print(
        f"{len(made.fitted.classifier.leaves):,} leaves, accuracy {accuracy}; {suspects} of "
        f"{len(made.labels.rows):,} suspected to be wrong; page in {out / 'report.html'}."
    )
