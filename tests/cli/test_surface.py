import typer

from item_embed.cli.main import app

# What scripts of users hold on to: arguments in capitals, in their order, and every option. A change here is a change
# for them, and belongs into the changelog.
SURFACE = {
    "demo": "--out --source --products --steps --seed --json",
    "draw": "--out --products --dominance --show --mention --seed --image-size --workers --sheet --json",
    "prepare": "SOURCE --out --id-column --title-column --image-column --category-column --product-column "
    "--group-column --images --allow-outside --allow-private --per-host-rate --crawl-delay --connections --timeout "
    "--cache --update --retry-failed --workers --seed --overwrite --json",
    "pretrain": "CATALOG SETTINGS --out --config --from --exclude-groups --resume --json",
    "whiten": "MODEL CATALOG --out --power --late-fusion --dimensions --rows --exclude-groups --device --json",
    "embed": "MODEL CATALOG --out --modalities --batch-size --workers --device --precision --engine --ray-address "
    "--actors --gpus-per-actor --cpus-per-actor --json",
    "export": "SOURCE --out --precision --modalities --background --catalog --json",
    "index": "VECTORS CATALOG --out --update --json",
    "search": "INDEX --image --title -k --where --hybrid --model --html --json",
    "duplicates": "INDEX --out --labels --pairs --sample --answers --threshold --precision --linkage --variants "
    "--update --neighbours --floor --seed --json",
    "explain": "IDS --index --catalog --model --image-a --title-a --image-b --title-b --method --html --json",
    "evaluate": "MODEL CATALOG --task --queries --relist --modalities --split --vectors --baselines --hybrid "
    "--mask-shared-words --fine-tune --sample --by --variants --probabilities --json --html --card --seed "
    "--batch-size --device",
    "compare": "CATALOG METHODS --out --config --queries --relist --split --reference --seeds --jobs --leaf-category "
    "--dry-run --table --json --html --batch-size --device",
    "ablate": "GRID CATALOG --out --queries --relist --split --leaf-category --jobs --dry-run --table --json "
    "--batch-size --device",
    "classify fit": "MODEL CATALOG --out --vectors --modalities --fine-tune --finetune --precision --seed --batch-size "
    "--device --json",
    "classify predict": "CLASSIFIER CATALOG --out --precision --vectors --model --batch-size --device --json",
    "serve": "INDEX --model --duplicates --categories --query-probabilities --host --port --api-key-file --device "
    "--max-megabytes --max-megapixels --timeout --queue --json",
}


def test_the_surface_is_what_users_know() -> None:
    assert _surface("", typer.main.get_command(app)) == SURFACE


def _surface(name: str, command: object) -> dict[str, str]:
    """Every command with its parameters; those of a group by its name and theirs."""
    if not isinstance(command, typer.core.TyperGroup):
        assert isinstance(command, typer.core.TyperCommand)
        return {name: _parameters(command)}
    found: dict[str, str] = {}
    for verb, part in command.commands.items():
        found |= _surface(f"{name} {verb}".strip(), part)
    return found


def _parameters(command: typer.core.TyperCommand) -> str:
    names: list[str] = []
    for parameter in command.params:
        names += [parameter.name.upper()] if parameter.param_type_name == "argument" else parameter.opts
    return " ".join(names)
