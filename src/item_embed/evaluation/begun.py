"""`setup.json`: what all runs of a folder are trained on and asked, so that nothing else goes on there."""

import json
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from item_embed.errors import ConfigError
from item_embed.files import whole_file

_SETUP = "setup.json"
_OTHER = {"queries": "other queries"}


def is_begun(
    out: Path,
    what: str,
    identity: Mapping[str, Any],
    made_before: Collection[str] = (),
    complete: Callable[[dict[str, Any]], Mapping[str, Any]] = dict,
) -> bool:
    """Whether a folder was begun, and with the same; one that is not can be begun.

    Args:
        out: the folder.
        what: it is of, for errors.
        identity: by name what has to be the same, as JSON.
        made_before: names of files that may be there before it is begun.
        complete: brings an identity that an older version wrote into today's form; raises ValueError where it cannot.

    Raises:
        ConfigError: when it was begun with something else or cannot be read, or is no such folder.

    Examples:
        >>> is_begun(Path("comparison"), "comparison", {"catalogue": "5f0c1a9e"})  # doctest: +SKIP
        False
    """
    if not (out / _SETUP).is_file():
        if out.exists() and (not out.is_dir() or {path.name for path in out.iterdir()} - set(made_before)):
            raise ConfigError(f"{out} exists and holds no {what}; choose another --out.")
        return False
    try:
        begun = complete(read_begun(out, what, identity))
    except ValueError as error:
        raise _unreadable(out, error) from None
    other = [
        _OTHER.get(name, f"another {name}") + _settings(begun[name], value)
        for name, value in identity.items()
        if begun[name] != value
    ]
    if other:
        raise ConfigError(
            f"{out} was begun with {' and '.join(other)}, and figures of both cannot be compared; go on with what its "
            f"{_SETUP} tells, or choose another --out."
        )
    return True


def _settings(there: Any, here: Any, most: int = 3) -> str:
    """In what two configurations differ, as ` (training.steps: 20, not 2000)`; nothing for other values."""
    if not (isinstance(there, dict) and isinstance(here, dict) and any(isinstance(v, dict) for v in here.values())):
        return ""
    old, new = _flat(there), _flat(here)
    differing = [f"{key}: {old.get(key)}, not {new.get(key)}" for key in {**new, **old} if old.get(key) != new.get(key)]
    more = f", and {len(differing) - most} more" if len(differing) > most else ""
    return f" ({', '.join(differing[:most])}{more})"


def _flat(settings: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Settings by their whole names."""
    found: dict[str, Any] = {}
    for name, value in settings.items():
        found |= _flat(value, f"{above}{name}.") if isinstance(value, dict) else {f"{above}{name}": value}
    return found


def begin(out: Path, setup: Mapping[str, Any]) -> None:
    """Write down what a folder is begun with: its identity, and what else is to be known of it, as JSON."""
    with whole_file(out / _SETUP) as aside:
        aside.write_text(json.dumps(setup, indent=2, ensure_ascii=False) + "\n", encoding="utf8")


def read_begun(out: Path, what: str, names: Collection[str]) -> dict[str, Any]:
    """What a folder was begun with, by some names.

    Raises:
        ConfigError: when it was not begun, or one of the names is not there.
    """
    try:
        setup = json.loads((out / _SETUP).read_text(encoding="utf8"))
        return {name: setup[name] for name in names}
    except FileNotFoundError:
        raise ConfigError(f"{out} holds no {what} yet; run it without --table first.") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _unreadable(out, error) from None


def _unreadable(out: Path, error: Exception) -> ConfigError:
    return ConfigError(f"{out / _SETUP} cannot be read ({str(error).splitlines()[0]}); choose another --out.")
