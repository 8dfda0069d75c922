import json
from dataclasses import replace
from pathlib import Path

import pytest

from item_embed.catalog.report import gathering
from item_embed.catalog.report.facts import Facts
from item_embed.catalog.report.gathering import gather
from tests.catalog.report.made import Rejected, Row, clean_rows, noise, plain, write_folder


def kinds(facts: Facts) -> set[str]:
    return {concern.kind for concern in facts.concerns}


def test_a_good_feed_gives_no_warning(tmp_path: Path) -> None:
    facts = gather(write_folder(tmp_path / "catalog", clean_rows(1200)))

    assert facts.warnings == []
    assert (facts.rows, facts.pairs, facts.titles.count, facts.photos.count) == (1200, 1200, 1200, 1200)
    assert facts.titles.scripts[0].name == "Latin"
    assert facts.categories.distinct == 15
    assert (facts.products.distinct, facts.products.top) == (600, 2)
    assert (facts.groups.distinct, facts.groups.top) == (600, 2)
    assert facts.photos.short_side.median == 400
    assert facts.photos.empty.count == gathering.SAMPLE


def test_numbers_are_plain_json_and_progress_ends_at_the_rows(tmp_path: Path) -> None:
    told: list[tuple[int, int | None]] = []
    rows = [replace(row, product_id=row.product_id if n % 2 else None) for n, row in enumerate(clean_rows(120))]
    folder = write_folder(tmp_path / "catalog", rows, rows_per_file=50)
    facts = gather(folder, lambda done, total: told.append((done, total)))

    assert told[-1] == (120, 120)
    assert json.loads(json.dumps(facts.as_json())) == facts.as_json()
    assert facts.as_json()["rows"] == 120
    assert [warning["kind"] for warning in facts.as_json()["warnings"]] == ["few-rows"]


def test_the_facts_do_not_depend_on_how_rows_lie_in_files(tmp_path: Path) -> None:
    rows = [replace(row, repairs=("title: HTML tags",) if n % 3 else ()) for n, row in enumerate(clean_rows(200))]
    whole = gather(write_folder(tmp_path / "whole", rows))
    parts = gather(write_folder(tmp_path / "parts", rows, rows_per_file=37))

    assert replace(whole, manifest=parts.manifest) == parts


def test_a_placeholder_photo_is_shown_with_its_titles(tmp_path: Path) -> None:
    sign = plain("silver")
    rows = [replace(row, image=sign, pixels=7) if n < 40 else row for n, row in enumerate(clean_rows(1100))]
    facts = gather(write_folder(tmp_path / "catalog", rows))

    assert kinds(facts) == {"placeholder-photo"}
    assert "One photo is under 40 different titles: 40 rows" in facts.warnings[0]
    assert len(facts.concerns[0].photos) == 1
    found = facts.photos.placeholders
    assert (found.photos, found.rows, found.largest[0].titles) == (1, 40, 40)
    assert (facts.photos.equal.rows, facts.photos.equal.shared) == (40, 1)
    assert found.largest[0].some == tuple(str(row.title) for row in rows[:3])


def test_a_photo_of_several_sizes_of_one_product_is_no_placeholder(tmp_path: Path) -> None:
    rows = [replace(row, pixels=n // 10) for n, row in enumerate(clean_rows(1100))]

    assert gather(write_folder(tmp_path / "catalog", rows)).warnings == []


def test_equal_titles_matter_unless_they_are_of_one_product(tmp_path: Path) -> None:
    rows = clean_rows(1100)
    one_product = [replace(row, title=rows[n - n % 2].title) for n, row in enumerate(rows)]
    several = [replace(row, title=rows[n - n % 4].title) for n, row in enumerate(rows)]
    unlabelled = [replace(row, product_id=None) for row in one_product]

    assert gather(write_folder(tmp_path / "one", one_product)).warnings == []
    assert kinds(gather(write_folder(tmp_path / "several", several))) == {"equal-titles"}
    facts = gather(write_folder(tmp_path / "unlabelled", unlabelled))
    assert kinds(facts) == {"equal-titles"}
    assert facts.titles.equal.rows == 1100
    assert [cluster.rows for cluster in facts.titles.equal.largest] == [2] * 8


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("without-photo", {"image": None}),
        ("without-title", {"title": None}),
        ("one-category", {"category": "Home"}),
        ("one-product", {"product_id": "shop"}),
        ("one-group", {"group": 3}),
        ("small-photos", {"size": (80, 60)}),
        ("empty-background", {"image": plain()}),
    ],
)
def test_what_most_rows_have_wrong_is_warned_of(tmp_path: Path, kind: str, change: dict[str, object]) -> None:
    rows = [replace(row, **change) if n % 5 else row for n, row in enumerate(clean_rows(1100))]  # type: ignore[arg-type]

    assert kinds(gather(write_folder(tmp_path / "catalog", rows))) == {kind}


def test_short_titles_are_warned_of(tmp_path: Path) -> None:
    rows = [replace(row, title=f"Mug {n}") for n, row in enumerate(clean_rows(1100))]

    assert kinds(gather(write_folder(tmp_path / "catalog", rows))) == {"short-titles"}


def test_titles_in_a_script_without_spaces_are_not_short(tmp_path: Path) -> None:
    rows = [replace(row, title=f"紅色陶瓷馬克杯帶蓋{n}") for n, row in enumerate(clean_rows(1100))]

    assert gather(write_folder(tmp_path / "catalog", rows)).warnings == []


def test_several_scripts_are_warned_of(tmp_path: Path) -> None:
    rows = [
        replace(row, title=f"красная керамическая кружка {n}") if n % 8 == 0 else row
        for n, row in enumerate(clean_rows(1100))
    ]

    assert kinds(gather(write_folder(tmp_path / "catalog", rows))) == {"several-scripts"}


def test_few_groups_are_warned_of(tmp_path: Path) -> None:
    rows = [replace(row, group=n % 100) for n, row in enumerate(clean_rows(1100))]

    assert kinds(gather(write_folder(tmp_path / "catalog", rows))) == {"few-groups"}


def test_failed_downloads_are_counted_among_rows_kept_and_set_aside(tmp_path: Path) -> None:
    rows = clean_rows(1100)
    for row in range(50):
        rows[row] = replace(rows[row], image=None, repairs=("photo: download: HTTP 404",))
    aside = [Rejected("no title, and no photo (download: timed out)", row) for row in range(5)]
    facts = gather(write_folder(tmp_path / "catalog", rows, aside))

    assert facts.failed_downloads == 55
    assert kinds(facts) == {"failed-downloads"}
    assert "--retry-failed" in facts.warnings[0]


def test_each_reason_has_examples(tmp_path: Path) -> None:
    rows = [Row(f"id {n}", f"A title {n}", noise(n), repairs=("photo: converted from CMYK",)) for n in range(9)]
    rows[3] = replace(rows[3], repairs=("photo: absent", "title: HTML tags"), image=None)
    aside = [Rejected("row: not valid JSON", 1234, "b.jsonl", '{"text": "' + "x" * 2000)]
    facts = gather(write_folder(tmp_path / "catalog", rows, aside))

    assert [(reason.name, reason.rows) for reason in facts.repairs] == [
        ("photo: converted from CMYK", 8),
        ("photo: absent", 1),
        ("title: HTML tags", 1),
    ]
    assert len(facts.repairs[0].examples) == 4
    assert all(example.photo and example.content is None for example in facts.repairs[0].examples)
    assert (facts.repairs[1].examples[0].name, facts.repairs[1].examples[0].photo) == ("id 3", None)
    assert facts.rejections[0].examples[0].name == "row 1,234 of b.jsonl"
    content = facts.rejections[0].examples[0].content
    assert content is not None
    assert content.startswith('{"text": "xxx')
    assert len(content) < 500


def test_damaged_photos_and_empty_catalogues_break_nothing(tmp_path: Path) -> None:
    damaged = [
        Row("a", "A red mug", b"\xff\xd8\xffno"),
        Row("b", "B", b"", repairs=("photo: x",)),
        Row("c", "C", noise(1)),
    ]

    facts = gather(write_folder(tmp_path / "damaged", damaged))
    assert (facts.photos.count, facts.photos.empty.count) == (3, 1)
    assert facts.repairs[0].examples[0].photo == b""
    assert gather(write_folder(tmp_path / "empty", [])).rows == 0
