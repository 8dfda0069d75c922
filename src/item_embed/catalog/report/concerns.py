"""What matters for training: thresholds, each with its reason, and the sentences for those that a catalogue crosses."""

from collections.abc import Callable, Iterator

from item_embed.catalog.report.background import PATCH, SIDE
from item_embed.catalog.report.facts import Concern, Facts
from item_embed.catalog.report.languages import NO_LETTERS, OTHER

# Shares of a handful of rows say nothing; below this only "too few rows" is worth saying.
FEWEST_FOR_SHARES = 100
# A vocabulary and the sight of photos are learned from nothing: hundreds of rows are learned by heart.
FEWEST_ROWS = 1_000
# Validation and test get 5 % of the groups each; below this they hold fewer than ten products.
FEWEST_GROUPS = 200
# Photos under more than 20 titles are left out of the groups (see `catalog.grouping`). They are worth a word when
# one of them is under hundreds of rows, or when they are more than a speck of the catalogue.
PLACEHOLDER_ROWS = 100
PLACEHOLDER_SHARE = 0.005
# A third: then a wrong title, as the matching task draws them, is often as right as the true one.
EQUAL_TITLES = 1 / 3
# The global tasks and the matching need both; a fifth of the rows without one wastes a fifth of every step.
WITHOUT_PHOTO = 0.2
WITHOUT_TITLE = 0.2
# Scaled up to the encoder's 224 pixels, 64 are blurred 3.5 times: fewer show a product's shape, not its pattern.
SMALLEST_SIDE = 64
# Past one half, most of what a step computes and of what masked patches ask is white.
MOST_EMPTY = 50.0
# Two words name a kind of product, not a product; masking one of them leaves a riddle.
FEWEST_WORDS = 3
# Half the rows: a label that says the same of most rows is wrong, or says nothing.
LARGEST_CATEGORY = 0.5
LARGEST_GROUP = 0.5
# No product has a tenth of a feed's listings; a shop or a brand has.
LARGEST_PRODUCT = 0.1
# A dead link here and there is normal; a hundredth is a host that was down or refused.
FAILED_DOWNLOADS = 0.01
# A script is sure, and needs its own letters in the vocabulary. A language is an estimate from short titles: more of
# it before it counts, and enough titles to estimate from.
OTHER_SCRIPT = 0.05
OTHER_LANGUAGE = 0.15
FEWEST_TITLES = 200


def find_concerns(facts: Facts) -> tuple[Concern, ...]:
    """What matters for training in a catalogue, worst first."""
    return tuple(concern for check in _CHECKS for concern in check(facts))


def share(part: int, whole: int) -> str:
    """A share in percent, without pretending to more than it says.

    Examples:
        >>> share(1, 3), share(1, 30_000), share(0, 5)
        ('33 %', '< 0.1 %', '0 %')
    """
    percent = 100 * part / whole if whole else 0.0
    if 0 < percent < 0.1:
        return "< 0.1 %"
    if 0 < percent < 9.95 or 99 < percent < 100:
        return f"{min(percent, 99.9):.1f} %"
    return f"{percent:.0f} %"


def _few_rows(facts: Facts) -> Iterator[Concern]:
    if facts.rows < FEWEST_ROWS:
        yield Concern(
            "few-rows",
            f"The catalogue has {facts.rows:,} {'row' if facts.rows == 1 else 'rows'}, fewer than {FEWEST_ROWS:,}.",
            "A model trained from scratch learns so few by heart and tells little about other products.",
            "Add rows: all that the shop has, also what is sold out.",
        )


def _groups(facts: Facts) -> Iterator[Concern]:
    groups = facts.groups
    if facts.rows >= FEWEST_FOR_SHARES and groups.top > LARGEST_GROUP * facts.rows:
        column = facts.manifest.columns.get("group") or facts.manifest.columns.get("product_id")
        where = f"the column {column!r}" if column else "a title or a photo that many rows share"
        yield Concern(
            "one-group",
            f"One group holds {groups.top:,} of {facts.rows:,} rows ({share(groups.top, facts.rows)}).",
            "Groups are never parted, so the splits cannot be dealt as 90, 5 and 5 %: held-out figures mean little.",
            f"See whether {where} joins rows that are different products; name another column with --group-column "
            "or --product-column.",
        )
    elif (groups.distinct or 0) < FEWEST_GROUPS and facts.rows >= FEWEST_ROWS:
        yield Concern(
            "few-groups",
            f"The rows form only {groups.distinct:,} groups, fewer than {FEWEST_GROUPS:,}.",
            "Validation and test get 5 % of the groups each: fewer than ten products, so their figures jump.",
            "See whether the columns for product and group join rows that are different products, or add products.",
        )


def _without(facts: Facts) -> Iterator[Concern]:
    for what, count, limit in (
        ("photo", facts.photos.count, WITHOUT_PHOTO),
        ("title", facts.titles.count, WITHOUT_TITLE),
    ):
        lacking = facts.rows - count
        role = "image" if what == "photo" else "title"
        if facts.rows and lacking > limit * facts.rows:
            known = facts.manifest.columns.get(role) is not None
            mend = "The table of repairs says why." if known else f"Name the column with --{role}-column."
            yield Concern(
                f"without-{what}",
                f"{lacking:,} of {facts.rows:,} rows have no {what} ({share(lacking, facts.rows)}).",
                f"They teach nothing about how photo and title belong together, and are found by "
                f"{'title' if what == 'photo' else 'photo'} alone.",
                mend,
            )


def _downloads(facts: Facts) -> Iterator[Concern]:
    failed = facts.failed_downloads
    wanted = failed + facts.photos.count
    if failed > FAILED_DOWNLOADS * wanted:
        yield Concern(
            "failed-downloads",
            f"{failed:,} of {wanted:,} photos could not be downloaded ({share(failed, wanted)}).",
            "Their rows are kept without a photo, or set aside where there is no title either.",
            "See the reasons among the repairs: --retry-failed asks again for what may come back, and "
            "private addresses are refused without --allow-private.",
        )


def _placeholders(facts: Facts) -> Iterator[Concern]:
    found = facts.photos.placeholders
    if not found.largest:
        return
    largest = found.largest[0]
    if largest.titles >= PLACEHOLDER_ROWS or found.rows > PLACEHOLDER_SHARE * facts.rows:
        first = f"One photo is under {largest.titles:,} different titles"
        several = f"{found.photos:,} photos are each under more than 20 different titles, one under {largest.titles:,}"
        yield Concern(
            "placeholder-photo",
            f"{first if found.photos == 1 else several}: {found.rows:,} rows ({share(found.rows, facts.rows)}).",
            'It is a placeholder, such as "image coming soon", or a brand\'s sign: it says nothing about the product, '
            "and the model is asked to guess titles from it.",
            "Empty the photo of these rows in the feed, or take them out.",
            tuple(cluster.photo for cluster in found.largest if cluster.photo),
        )


def _equal_titles(facts: Facts) -> Iterator[Concern]:
    equal, count = facts.titles.ambiguous, facts.titles.count  # listings of one product may well have one title
    other = "another product" if facts.products.rows else "another row"
    if count >= FEWEST_FOR_SHARES and equal >= EQUAL_TITLES * count:
        yield Concern(
            "equal-titles",
            f"{equal:,} of {count:,} titles are also the title of {other} ({share(equal, count)}).",
            "Only the photo tells such rows apart; they share a group, and a title alone cannot find the right one.",
            "Add to the title what tells the products apart (brand, model, colour, size), if the feed has it.",
        )


def _small_photos(facts: Facts) -> Iterator[Concern]:
    sides = facts.photos.short_side
    if sides.count and sides.median < SMALLEST_SIDE:
        yield Concern(
            "small-photos",
            f"Photos are tiny: half have a short side of {sides.median:,.0f} pixels or less.",
            f"An encoder for {SIDE} pixels sees them blurred; patterns, letters and small parts are lost.",
            "Put the full photos into the feed instead of previews, or train with a smaller model.image_size.",
        )


def _background(facts: Facts) -> Iterator[Concern]:
    empty = facts.photos.empty
    if empty.count and empty.median > MOST_EMPTY:
        yield Concern(
            "empty-background",
            f"Most of the photo is empty: {empty.median:.0f} % or more in half of {empty.count:,} sampled photos.",
            f"Empty patches of {PATCH} by {PATCH} pixels cost as much as others and teach little.",
            "Crop photos to the product, or set model.image_size to the usual shape of the photos.",
        )


def _short_titles(facts: Facts) -> Iterator[Concern]:
    words = facts.titles.words
    if words.count and words.median < FEWEST_WORDS:
        yield Concern(
            "short-titles",
            f"Titles are short: half have {words.median:.0f} {'word' if words.median == 1 else 'words'} or fewer.",
            "Little is left to predict when a word is masked, and many products share such a title.",
            "Name a fuller title column with --title-column, or join brand, model and colour to the title.",
        )


def _one_label(facts: Facts) -> Iterator[Concern]:
    for role, what, labels, limit in (
        ("category", "category", facts.categories, LARGEST_CATEGORY),
        ("product_id", "product", facts.products, LARGEST_PRODUCT),
    ):
        if facts.rows >= FEWEST_FOR_SHARES and labels.top > limit * facts.rows:
            option = "--category-column" if role == "category" else "--product-column"
            meaning = (
                "Leaf categories are then hardly a task to evaluate on."
                if role == "category"
                else "All its rows share a group and count as the same product in every figure."
            )
            yield Concern(
                f"one-{what}",
                f"One {what} ({labels.largest[0].name[:80]!r}) holds {labels.top:,} of {facts.rows:,} rows "
                f"({share(labels.top, facts.rows)}).",
                meaning,
                f"See whether {facts.manifest.columns.get(role)!r} is the right column; name another with {option}.",
            )


def _scripts(facts: Facts) -> Iterator[Concern]:
    scripts = [one for one in facts.titles.scripts if one.name not in {NO_LETTERS, OTHER}]
    languages = facts.titles.languages or ()
    count, sample = facts.titles.count, facts.titles.sample
    if count >= FEWEST_FOR_SHARES and sum(one.rows for one in scripts[1:]) > OTHER_SCRIPT * count:
        kind, found, whole = "several-scripts", scripts, count
    elif sample >= FEWEST_TITLES and sum(one.rows for one in languages[1:]) > OTHER_LANGUAGE * sample:
        kind, found, whole = "several-languages", list(languages), sample
    else:
        return
    named = ", ".join(f"{one.name} {share(one.rows, whole)}" for one in found[:4])
    yield Concern(
        kind,
        f"Titles are in several {kind.removeprefix('several-')}: {named}.",
        "The vocabulary is learned from all titles: a rare one is cut into letters, and titles are not matched across.",
        "Prepare a catalogue for each, or raise model.vocab_size and see that each has thousands of rows.",
    )


_CHECKS: tuple[Callable[[Facts], Iterator[Concern]], ...] = (
    _few_rows,
    _groups,
    _without,
    _downloads,
    _placeholders,
    _equal_titles,
    _small_photos,
    _background,
    _short_titles,
    _one_label,
    _scripts,
)
