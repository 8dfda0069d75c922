"""The model card: README.md of a model's folder, in the form that the Hugging Face hub reads.

It tells what `provenance.json` and `config.json` beside it say, for people: https://huggingface.co/docs/hub/model-cards
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

from item_embed.errors import ModelError
from item_embed.files import whole_file
from item_embed.model.folder import provenance
from item_embed.model.whitening import Whitening
from item_embed.wording import number_of

CARD_FILE = "README.md"

_GO_ON = "go on training it there (`item pretrain --from`)"
_GO_ON_EXPORTED = "go on training the model that this one was exported from, and export that"

_EVALUATION, _LIMITS = "## Evaluation", "## Limits"
_OPTIMISER = ("learning_rate", "warmup_steps", "weight_decay", "betas", "max_grad_norm")
_UNSHAPED = (
    "It was trained to predict what is hidden, and no objective asked that vectors of one product be near each other; "
    "`docs/agreement.md` of item-embed tells what that means for search."
)
_BAR = "\\|"  # within a cell

_CARD = """\
---
license: unknown  # yours to choose
library_name: item-embed
pipeline_tag: feature-extraction
tags:
- item-embed
- product-embedding
- multimodal
- e-commerce
---

# Product embedding: {dimension} numbers for a photo and a title

A vector of length 1 for a product, from its photo, its title, or both, learned without labels: the cosine of two
vectors says how alike two products are. The encoder is that of ITEm ([arXiv
2311.02084](https://arxiv.org/abs/2311.02084)), trained by the objectives below; the software is item-embed.

## Data

{data}

Titles and photos were read, and no label. Whose they are and what they may be used for, item-embed does not know: write
it here.

## Model and objectives

{settings}

All settings are in `provenance.json`.

## Training

{training}

## Use

```python
from item_embed import Embedder

embedder = Embedder.from_pretrained("path/of/this/folder")
vectors = embedder.embed(images=["mug.jpg", None], titles=["Red ceramic mug", "Blue mug, 350 ml"])
print(vectors @ vectors.T)  # cosines
```

{limits_heading}

{limits}

## Licence

The licence of the weights is their owner's to choose: write it here, and as `license` at the top. Nothing is known of
the licence of the photos and titles that they were trained on. item-embed itself is under Apache-2.0.
"""


def model_card(folder: Path) -> str:
    """The card of a model, as its folder is without one.

    Args:
        folder: the model's, with `config.json` and, where its run wrote it, `provenance.json`.

    Returns:
        Markdown with YAML metadata; what was not written down is left out.

    Raises:
        ModelError: when it is a baseline of `item compare`: the card would not be true of it.

    Examples:
        >>> model_card(Path("run/model")).splitlines()[1]  # doctest: +SKIP
        'license: unknown  # yours to choose'
    """
    known, model = provenance(folder), json.loads((folder / "config.json").read_text(encoding="utf8"))
    if learner := known.get("learner"):
        raise ModelError(f"{folder} holds {learner}, a baseline of `item compare`, and those have no model card.")
    whitening = Whitening.load(folder)
    return _CARD.format(
        dimension=model["hidden_size"] if whitening is None else whitening.dimension,
        data=_bullets(_data(known)),
        settings=_bullets(_settings(known, model)),
        training=_bullets(_training(known)),
        limits_heading=_LIMITS,
        limits=_bullets(_limits(known, model)),
    )


def copy_card(model: Path, exported: Path) -> None:
    """Copy the card of a model, if it has one, into the folder that it is exported to, which cannot be trained."""
    if (model / CARD_FILE).is_file():
        card = (model / CARD_FILE).read_bytes()  # its owner may have written into it, in any encoding
        (exported / CARD_FILE).write_bytes(card.replace(_GO_ON.encode(), _GO_ON_EXPORTED.encode()))


def add_table(
    folder: Path, heading: str, columns: Sequence[str], rows: Sequence[Sequence[str]], notes: Sequence[str] = ()
) -> None:
    """Write what was measured into a model's card, in the place of what stood there under the same heading.

    Nothing else in the card changes, so its owner may write into it. A folder without a card gets one.

    Args:
        folder: the model's.
        heading: what was measured, on what.
        columns: of the table.
        rows: of texts, each as long as `columns`.
        notes: paragraphs below the table.

    Raises:
        ModelError: when the card cannot be read.

    Examples:
        >>> add_table(Path("run/model"), "Same product", ["hit@1"], [["0.706 [0.679, 0.735]"]])  # doctest: +SKIP
    """
    file = folder / CARD_FILE
    if not file.is_file() and not (folder / "config.json").is_file():
        raise ModelError(
            f"{folder} was exported from a model without a card; write the card of that model, and export it."
        )
    try:
        card = file.read_text(encoding="utf8") if file.is_file() else model_card(folder)
    except (OSError, ValueError) as error:
        raise ModelError(f"{file} cannot be read ({error}); mend or remove it.") from None
    block = "\n\n".join([f"### {heading}", _table(columns, rows), *notes])
    with whole_file(file) as aside:
        aside.write_text(_with_block(card, heading, block), encoding="utf8")


def _with_block(card: str, heading: str, block: str) -> str:
    """A card with a block of its evaluation in the place of the one of that heading, or behind the others."""
    before, found, rest = card.partition(f"\n{_EVALUATION}\n")
    if not found:
        before, limits, rest = card.partition(f"\n{_LIMITS}\n")
        rest = f"{limits}{rest}"
    end = rest.find("\n## ")
    section, after = (rest[:end], rest[end:]) if end >= 0 else (rest, "")
    lead, *blocks = [part.strip() for part in re.split(r"^(?=### )", section, flags=re.MULTILINE)]
    names = [part.partition("\n")[0] for part in blocks]
    if f"### {heading}" in names:
        blocks[names.index(f"### {heading}")] = block
    else:
        blocks.append(block)
    body = "\n\n".join([_EVALUATION, *([lead] if lead else []), *blocks])
    return f"{before.rstrip()}\n\n{body}\n{after or ''}"


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(_line(cells) for cells in (columns, ["---"] * len(columns), *rows))


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', _BAR) for cell in cells)} |"


def _bullets(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _data(known: Mapping[str, Any]) -> list[str]:
    if "catalog_fingerprint" not in known:
        return ["What it was trained on was not written down."]
    rows = f": {number_of(known['rows'], 'row')} of its training split" if "rows" in known else ""
    lines = [f"Trained on {_catalogue(known)}{rows}."]
    if known.get("exclude_groups"):
        left_out, file = number_of(known["excluded_rows"], "row"), PurePath(known["exclude_groups"]).name
        lines.append(f"Left out of that on request: {left_out}, the groups of `{file}`.")
    while known := known.get("from", {}):
        seen = f", {number_of(known['samples'], 'sample')} of {_catalogue(known)}" if "catalog" in known else ""
        lines.append(f"It went on from the model `{known['fingerprint'][:12]}`{seen}.")
    return lines


def _catalogue(known: Mapping[str, Any]) -> str:
    name = f" `{PurePath(known['catalog']).name}`" if "catalog" in known else ""
    return f"the catalogue{name} (fingerprint `{known['catalog_fingerprint'][:12]}`)"


def _settings(known: Mapping[str, Any], model: Mapping[str, Any]) -> list[str]:
    height, width = model["image_size"]
    patches = (height // model["patch_size"]) * (width // model["patch_size"])
    lines = [
        f"Encoder: {number_of(model['num_hidden_layers'], 'layer')} of {model['hidden_size']} numbers, "
        f"{number_of(model['num_attention_heads'], 'head')}, {model['intermediate_size']} within the MLP.",
        f"Photos: {height} x {width} pixels (height x width), the whole photo with white around it, in "
        f"{number_of(patches, 'patch', 'patches')}, embedded by a {model.get('patch_embedding', 'linear')} map.",
        f"Titles: at most {model['max_title_tokens']} tokens of a vocabulary of {model['vocab_size']:,}.",
    ]
    objectives = known.get("config", {}).get("objectives", {})
    weights = _weights(known)
    if weights:
        lines.append(f"Objectives and their weights: {_listed(weights)}.")
    if weights.keys() - {"agreement"}:
        rates = [f"{100 * objectives[rate]:g} %" for rate in ("token_mask_rate", "patch_mask_rate")]
        lines.append(f"Predicted: {rates[0]} of a title's tokens, {rates[1]} of a photo's patches.")
    if "agreement" in weights:
        lines.append(f"Agreement: {_listed(objectives['agreement'])}.")
    if whitened := known.get("whitened"):
        by = f"{number_of(whitened['rows'], 'row')} of {_catalogue(whitened)}"
        lines.append(f"Vectors are whitened by {by}, power {whitened['power']:g}.")
        if whitened.get("late_fusion"):
            lines.append(
                "Each joins three, of the whole product, of its photo and of its title, and the title's words."
            )
    return lines


def _training(known: Mapping[str, Any]) -> list[str]:
    training = known.get("config", {}).get("training")
    if training is None:
        return ["How it was trained was not written down."]
    samples, steps = training["steps"] * training["batch_size"], number_of(training["steps"], "step")
    each = f", each row {samples / known['rows']:.1f} times" if known.get("rows") else ""
    lines = [
        f"{number_of(samples, 'sample')} in {steps} of {training['batch_size']}{each}.",
        f"AdamW: {_listed({name: training[name] for name in _OPTIMISER})}; seed {training['seed']}.",
    ]
    if "parameters" in known:
        lines.append(f"Parameters: {known['parameters'] / 1e6:.2f} million in the encoder.")
    if "minutes" in known:
        timed = known["timed_steps"]
        of_those = "" if timed == training["steps"] else f" for the last {number_of(timed, 'step')}"
        lines.append(f"Time: {known['minutes']:.1f} minutes{of_those}, on {known['device']}, in {known['precision']}.")
    return [*lines, f"Versions: {_listed(known.get('versions', {}))}."]


def _limits(known: Mapping[str, Any], model: Mapping[str, Any]) -> list[str]:
    height, width = model["image_size"]
    weights = _weights(known)
    return [
        "It knows the goods, the languages and the kind of photos of its catalogue. Elsewhere measure it first, or "
        f"{_GO_ON}.",
        f"It does not see what is too small for {height} x {width} pixels, nor words beyond the last token of a title.",
        *([_UNSHAPED] if weights and "agreement" not in weights else []),
        "A high cosine makes a candidate, no proof: where a mistake costs money, a person should look.",
        "What is too frequent or missing in the catalogue, or wrong, it has learned as well.",
    ]


def _weights(known: Mapping[str, Any]) -> dict[str, float]:
    """Of the objectives that it was trained on, by name; nothing where that is not known."""
    weights = known.get("config", {}).get("objectives", {}).get("weights", {})
    return {name: weight for name, weight in weights.items() if weight}


def _listed(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {f'{value:g}' if isinstance(value, float) else value}" for name, value in values.items())
