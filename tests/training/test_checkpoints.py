import shutil
from pathlib import Path

import pytest
import torch
from torch import nn

from item_embed.errors import ModelError
from item_embed.training.checkpoints import latest_checkpoint, load_checkpoint, save_checkpoint

STATE = {"means": {"sums": {"mlm": 0.1 + 0.2}, "counts": {"mlm": 3}}}


def trained(steps: int = 3) -> tuple[nn.Module, torch.optim.AdamW]:
    """A model with a parameter that no loss reaches."""
    torch.manual_seed(0)
    model = nn.ModuleDict({"a": nn.Linear(3, 2), "unused": nn.Linear(2, 2)})
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, fused=True)
    train(model, optimizer, steps)
    return model, optimizer


def train(model: nn.Module, optimizer: torch.optim.AdamW, steps: int) -> None:
    assert isinstance(model, nn.ModuleDict)
    for step in range(steps):
        model["a"](torch.ones(4, 3) + step).square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()


def test_training_goes_on_from_a_checkpoint_as_if_it_had_never_stopped(tmp_path: Path) -> None:
    model, optimizer = trained()
    path = save_checkpoint(tmp_path, 3, model, optimizer, STATE)
    train(model, optimizer, 4)
    again, fresh = trained(steps=1)
    assert load_checkpoint(path, again, fresh) == {"step": 3, **STATE}
    train(again, fresh, 4)
    for a, b in zip(model.parameters(), again.parameters(), strict=True):
        assert torch.equal(a, b)
        state, other = optimizer.state[a], fresh.state[b]
        assert state.keys() == other.keys()
        assert all(torch.equal(state[key], other[key]) for key in state)


def test_a_checkpoint_holds_safetensors_and_json_only(tmp_path: Path) -> None:
    path = save_checkpoint(tmp_path, 500, *trained(), STATE)
    assert path.name == "step-00000500"
    assert {f.name for f in path.iterdir()} == {"model.safetensors", "optimizer.safetensors", "state.json"}


def test_the_newest_two_are_kept(tmp_path: Path) -> None:
    model, optimizer = trained()
    assert latest_checkpoint(tmp_path) is None
    for step in (2, 9, 10, 100):
        path = save_checkpoint(tmp_path, step, model, optimizer, STATE)
        assert latest_checkpoint(tmp_path) == path
    assert sorted(f.name for f in tmp_path.iterdir()) == ["step-00000010", "step-00000100"]


def test_what_a_killed_process_left_half_written_is_ignored_and_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, optimizer = trained()
    whole = save_checkpoint(tmp_path, 2, model, optimizer, STATE)

    def killed(path: Path, _: Path) -> None:
        shutil.copytree(path, tmp_path / "left")  # the process dies at the last act of writing
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", killed)
        with pytest.raises(KeyboardInterrupt):
            save_checkpoint(tmp_path, 4, model, optimizer, STATE)
    assert sorted(f.name for f in tmp_path.iterdir()) == ["left", whole.name]
    (tmp_path / "left").rename(tmp_path / ".step-00000004.item-partial")
    assert latest_checkpoint(tmp_path) == whole
    path = save_checkpoint(tmp_path, 4, model, optimizer, STATE)
    assert latest_checkpoint(tmp_path) == path
    assert sorted(f.name for f in tmp_path.iterdir()) == [whole.name, path.name]
    load_checkpoint(path, model, optimizer)


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.safetensors", "state.json"])
@pytest.mark.parametrize("damage", ["missing", "cut"])
def test_a_damaged_checkpoint_is_one_sentence(name: str, damage: str, tmp_path: Path) -> None:
    model, optimizer = trained()
    path = save_checkpoint(tmp_path, 2, model, optimizer, STATE)
    if damage == "missing":
        (path / name).unlink()
    else:
        (path / name).write_bytes((path / name).read_bytes()[:20])
    with pytest.raises(ModelError, match=r"step-00000002 cannot be read \(.*\); remove it to go on") as caught:
        load_checkpoint(path, model, optimizer)
    assert "\n" not in str(caught.value)


def test_a_checkpoint_of_another_architecture_is_one_sentence(tmp_path: Path) -> None:
    path = save_checkpoint(tmp_path, 2, *trained(), STATE)
    other = nn.ModuleDict({"a": nn.Linear(5, 2)})
    with pytest.raises(ModelError, match="cannot be read"):
        load_checkpoint(path, other, torch.optim.AdamW(other.parameters()))
