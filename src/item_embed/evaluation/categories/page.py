"""The page of a classifier: how good it is, what it answers at a wanted precision, and labels probably wrong."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from item_embed.catalog.store import Catalog
from item_embed.categories.fitting import Fitted
from item_embed.categories.suspects import Labels
from item_embed.categories.tree import SEPARATOR
from item_embed.evaluation.categories.quality import Answers, Quality
from item_embed.evaluation.intervals import Figure
from item_embed.evaluation.plots import Series, curve_plot
from item_embed.evaluation.report import Gallery, Pictures, Plots, Section, Table, Word, write_report
from item_embed.search.thumbnails import thumbnail
from item_embed.wording import are, number_of

_SHOWN = 60  # suspects
_PAIRS = 15  # of leaves
_UNSURE = 0.7  # macro-F1 below which the answers of an average leaf are wrong too often to accuse a label

_NAMES = {
    "accuracy": "accuracy of the likeliest leaf",
    "macro_f1": "macro-F1",
    "top_5_accuracy": "true leaf among the five likeliest",
    "calibration_error": "calibration error",
}


def write_page(path: Path, catalog: Catalog, fitted: Fitted, quality: Quality, labels: Labels) -> None:
    """Write the page.

    Args:
        path: the file.
        catalog: where titles and photos come from.
        fitted: the classifier, and what it said.
        quality: its figures.
        labels: all labelled rows, and the suspects.

    Raises:
        OutputError: when the file cannot be written.
    """
    suspects = _suspects_section(catalog, quality, labels)
    write_report(path, "Categories", sections=[_classifier_section(fitted, quality), suspects])


def answers_table(quality: Quality) -> Table:
    """What is answered for each wanted precision."""
    return Table(
        "Answers by wanted precision",
        ["wanted", "answered with a leaf", "of these right", "with a prefix", "of these right", "with nothing"],
        [
            [
                f"{one.precision:g}{' *' if one.precision == quality.wanted.precision else ''}",
                one.leaves.text(),
                _text(one.right_leaves),
                one.prefixes.text(),
                _text(one.right_prefixes),
                f"{max(0.0, 1 - one.coverage):.3f}",
            ]
            for one in quality.answers
        ],
        f"Shares of {number_of(quality.rows, 'test row')}, which taught and fitted nothing; 95 % intervals over "
        "groups. *: the one that was asked for. A prefix is given where the leaf is not sure enough.",
    )


def _text(figure: Figure | None) -> str:
    return "" if figure is None else figure.text()


def _classifier_section(fitted: Fitted, quality: Quality) -> Section:
    classifier, rows = fitted.classifier, fitted.classifier.told["rows"]
    wanted = quality.wanted
    summary = (
        f"{len(classifier.leaves):,} leaves, learnt from {number_of(rows['taught'], 'row')}: {wanted.leaves.value:.1%} "
        f"of {number_of(quality.rows, 'test row')} are answered with a leaf, for a precision of {wanted.precision:g}."
    )
    remarks = [*fitted.remarks, *levels_told(fitted)]
    figures = Table(
        "Figures",
        ["of test rows", "value"],
        [[_NAMES[name], figure.text()] for name, figure in quality.figures.items()],
        "Rows of leaves that the classifier knows, each with its likeliest leaf, would that be answered or not.",
    )
    plots = Plots(
        "What a precision costs",
        [_coverage_plot(quality.answers), _kept_plot(quality.answers)],
        "Thresholds are fitted on held-out rows of the other splits, by the lower end of an interval; both plots are "
        "of the test split. Bands are 95 % intervals.",
    )
    return Section("Classifier", summary, remarks, [plots], [answers_table(quality), figures])


def levels_told(fitted: Fitted) -> list[str]:
    """The thresholds, or that there is none, as sentences."""
    classifier = fitted.classifier
    thresholds = classifier.thresholds()
    if silent := classifier.why_silent():
        return [f"{silent} Nothing is answered, and only the likeliest leaves are given."]
    told = []
    for level, point in enumerate(thresholds):
        length = len(classifier.tree.names(level)[0].split(SEPARATOR))
        what = "A leaf" if level == 0 else f"A prefix of {number_of(length, 'name')}"
        if point is not None:
            told.append(
                f"{what} is answered from a probability of {point.threshold:.3f}: there {point.precision:.3f} "
                f"[{point.low:.3f}, {point.high:.3f}] of {number_of(point.answers, 'held-out row')} are right."
            )
    return told


def _coverage_plot(answers: Sequence[Answers]) -> str:
    wanted = [one.precision for one in answers]
    anything = [Figure(one.coverage, None, None) for one in answers]
    series = [Series("a leaf", wanted, [one.leaves for one in answers]), Series("a leaf or a prefix", wanted, anything)]
    return curve_plot("Rows answered", series, xlabel="wanted precision", limits=(0, 1.02))


def _kept_plot(answers: Sequence[Answers]) -> str:
    kept = [one for one in answers if one.right_leaves is not None]
    if not kept:
        return ""
    series = [Series("leaves", [one.precision for one in kept], [one.right_leaves for one in kept if one.right_leaves])]
    lowest = min(0.85, *(figure.ends[0] for figure in series[0].figures))
    return curve_plot(
        "Answered leaves that are right", series, xlabel="wanted precision", diagonal=True, limits=(lowest, 1.005)
    )


def _suspects_section(catalog: Catalog, quality: Quality, labels: Labels) -> Section:
    suspects = labels.suspects
    of = f"of {number_of(len(labels.rows), 'labelled row')}"
    unsure = _unsure(quality)
    if not len(suspects):
        return Section("Suspected wrong labels", f"None {of}.", unsure)
    disagree = int(((labels.predicted != labels.given) & (labels.given >= 0)).sum())
    summary = (
        f"{number_of(len(suspects), 'label')} {of} {are(len(suspects))} suspected: wrong, or of a leaf that is used "
        "like another. All of them are in suspects.csv."
    )
    remarks = [
        *unsure,
        "What is said of a row is said by a classifier that did not learn from it, nor from another of its group.",
        f"Of {number_of(disagree, 'row')} the likeliest leaf is another than the label. Suspects are those of which it "
        "is as likely as it is, on average, of rows that are labelled with it.",
    ]
    pairs = Counter((int(labels.given[one]), int(labels.predicted[one])) for one in suspects)
    rows = [
        [labels.leaves[given], labels.leaves[predicted], f"{count:,}"]
        for (given, predicted), count in pairs.most_common(_PAIRS)
    ]
    note = "Many of one pair: the two are hard to tell, or are used as one."
    table = Table("Most frequent", ["labelled", "looks like", "rows"], rows, note)
    shown = suspects[:_SHOWN]
    typical = typical_rows(catalog, labels)
    gallery = Gallery(
        "To look at",
        f"The {number_of(len(shown), 'row')} whose two probabilities lie farthest apart; beside each a typical row of "
        "its label, and of the leaf that it looks like.",
        [_pictures(catalog, labels, typical, int(place)) for place in shown],
    )
    return Section("Suspected wrong labels", summary, remarks, tables=[table], galleries=[gallery])


def _unsure(quality: Quality) -> list[str]:
    """What is to be known of suspects where the classifier itself is often wrong."""
    macro = quality.figures["macro_f1"]
    if macro.value >= _UNSURE:
        return []
    return [
        f"The classifier itself is often wrong: its macro-F1 on test rows is {macro.text()}. So many suspects will be "
        "right, and wrong labels be missed: this is a list to look through, not to correct by."
    ]


def typical_rows(catalog: Catalog, labels: Labels) -> NDArray[np.int64]:
    """Of each leaf the row with a photo whose label is likeliest, (L,); -1 where there is none."""
    found = np.full(len(labels.leaves), -1)
    agreed = (labels.given >= 0) & (labels.given == labels.predicted)
    candidates = np.flatnonzero(agreed & catalog.has_photo[labels.rows])
    order = candidates[np.argsort(labels.own[candidates], kind="stable")]  # of equals the last one written stays
    found[labels.given[order]] = labels.rows[order]
    return found


def _pictures(catalog: Catalog, labels: Labels, typical: NDArray[np.int64], place: int) -> Pictures:
    row, given, predicted = (int(values[place]) for values in (labels.rows, labels.given, labels.predicted))
    photos = [("this row", thumbnail(catalog.photo(row)))]
    for leaf, what in ((given, "labelled"), (predicted, "looks like")):
        name, example = labels.leaves[leaf].rsplit(SEPARATOR, 1)[-1], int(typical[leaf])
        photos.append((f"{what}: {name}", None if example < 0 else thumbnail(catalog.photo(example))))
    lines = [
        ("title", [Word(catalog.titles[row] or "(no title)")]),
        ("labelled", [Word(f"{labels.leaves[given]} · {labels.own[place]:.3f}")]),
        ("looks like", [Word(f"{labels.leaves[predicted]} · {labels.probability[place]:.3f}")]),
        ("id", [Word(catalog.ids[row])]),
    ]
    return Pictures([(caption, photo) for caption, photo in photos if photo], lines)
