import errno
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from item_embed import files
from item_embed.files import (
    OutputError,
    check_output,
    discard_partial,
    locked,
    resumable_folder,
    whole_file,
    whole_folder,
)


def _tree(folder: Path) -> dict[str, str]:
    """Every file below a folder, hidden ones too, and what it holds; but for the lock of a killed process."""
    found = (path for path in folder.rglob("*") if path.is_file() and not path.name.endswith(".item-lock"))
    return {str(path.relative_to(folder)): path.read_text() for path in found}


def _write(path: Path, text: str = "new", *, replace: bool = False) -> None:
    with whole_folder(path, replace=replace) as aside:
        (aside / "deep").mkdir()
        (aside / "deep/file").write_text(text)


def test_a_file_appears_when_it_is_whole(tmp_path: Path) -> None:
    out = tmp_path / "new/folder/file.txt"
    with whole_file(out) as aside:
        aside.write_text("half")
        assert not out.exists()
        assert aside.parent == out.parent  # renaming is atomic only within a file system
        aside.write_text("whole")
    assert _tree(tmp_path) == {"new/folder/file.txt": "whole"}


def test_a_file_is_replaced_and_until_then_the_old_one_stays(tmp_path: Path) -> None:
    out = tmp_path / "file.txt"
    out.write_text("old")
    with whole_file(str(out)) as aside:
        aside.write_text("new")
        assert out.read_text() == "old"
    assert _tree(tmp_path) == {"file.txt": "new"}


def test_a_folder_appears_when_it_is_whole(tmp_path: Path) -> None:
    out = tmp_path / "new/folder"
    with whole_folder(out) as aside:
        (aside / "file").write_text("whole")
        assert not out.exists()
        assert aside.parent == out.parent
    assert _tree(tmp_path) == {"new/folder/file": "whole"}


def test_a_folder_is_replaced_where_that_is_asked_for(tmp_path: Path) -> None:
    _write(tmp_path / "out", "old")
    with whole_folder(tmp_path / "out", replace=True) as aside:
        (aside / "other").write_text("new")
        assert (tmp_path / "out/deep/file").read_text() == "old"
    assert _tree(tmp_path) == {"out/other": "new"}


def test_a_folder_that_exists_is_refused_and_an_empty_one_is_free(tmp_path: Path) -> None:
    _write(tmp_path / "out", "old")
    with pytest.raises(OutputError, match=r"--out .*out exists already; choose another name, or remove it first\.$"):
        _write(tmp_path / "out")
    (tmp_path / "empty").mkdir()
    _write(tmp_path / "empty")
    assert _tree(tmp_path) == {"out/deep/file": "old", "empty/deep/file": "new"}


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (RuntimeError("a mistake"), "a mistake"),
        (KeyboardInterrupt("by hand"), "by hand"),
        (OSError(errno.ENOSPC, "No space left on device"), "out cannot be written: No space left on device"),
    ],
)
@pytest.mark.parametrize("kind", ["file", "folder", "replaced folder"])
def test_work_that_fails_leaves_nothing_and_takes_nothing_away(
    tmp_path: Path, error: BaseException, message: str, kind: str
) -> None:
    out = tmp_path / "out"
    if kind == "replaced folder":
        _write(out, "old")
    before = _tree(tmp_path)

    def work() -> None:
        with whole_file(out) if kind == "file" else whole_folder(out, replace=kind != "folder") as aside:
            (aside if kind == "file" else aside / "half").write_text("half")
            raise error

    with pytest.raises((OutputError, type(error)), match=message):
        work()
    assert _tree(tmp_path) == before


_KILLED = """
import os, signal, sys
from pathlib import Path
from item_embed import files
out, kind = Path(sys.argv[1]), sys.argv[2]
if kind == "between the renames":
    def rename(path, target, real=Path.rename):
        if path.name.endswith("item-partial"):
            os.kill(os.getpid(), signal.SIGKILL)
        return real(path, target)
    Path.rename = rename
with files.whole_file(out) if kind == "file" else files.whole_folder(out, replace=True) as aside:
    (aside if kind == "file" else aside / "half").write_text("half")
    if kind != "between the renames":
        os.kill(os.getpid(), signal.SIGKILL)
"""


def _killed(out: Path, kind: str) -> None:
    run = subprocess.run([sys.executable, "-c", _KILLED, str(out), kind], check=False)
    assert run.returncode == -9


def test_what_a_killed_process_left_of_a_file_is_replaced(tmp_path: Path) -> None:
    _killed(tmp_path / "out", "file")
    assert _tree(tmp_path) == {".out.item-partial": "half"}
    with whole_file(tmp_path / "out") as aside:
        assert not aside.exists()  # a database would go on with the half one
        aside.write_text("new")
    assert _tree(tmp_path) == {"out": "new"}


def test_what_a_killed_process_left_of_a_folder_is_replaced(tmp_path: Path) -> None:
    _killed(tmp_path / "out", "folder")
    assert _tree(tmp_path) == {".out.item-partial/half": "half"}
    _write(tmp_path / "out")
    assert _tree(tmp_path) == {"out/deep/file": "new"}


@pytest.mark.parametrize("again", ["check", "make", "replace"])
def test_what_a_process_killed_between_two_renames_had_moved_is_put_back(tmp_path: Path, again: str) -> None:
    out = tmp_path / "out"
    _write(out, "old")
    _killed(out, "between the renames")
    assert _tree(tmp_path) == {".out.item-replaced/deep/file": "old", ".out.item-partial/half": "half"}
    if again == "replace":
        _write(out, replace=True)
        assert _tree(tmp_path) == {"out/deep/file": "new"}
        return
    with pytest.raises(OutputError, match="exists already"):
        check_output(out) if again == "check" else _write(out)
    assert (out / "deep/file").read_text() == "old"


def test_a_rename_that_fails_puts_the_old_folder_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, rename = tmp_path / "out", Path.rename

    def refuse(path: Path, target: Path) -> Path:
        if path.name.endswith("item-partial"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return rename(path, target)

    _write(out, "old")
    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(OutputError, match="out cannot be written: Permission denied"):
        _write(out, replace=True)
    assert _tree(tmp_path) == {"out/deep/file": "old"}


def test_nothing_of_the_users_is_taken_away(tmp_path: Path) -> None:
    mine = ("out.partial", "out.old", "out.tmp", "out~", ".out", ".out.partial", ".out.old", "out.item-partial")
    for name in mine:
        (tmp_path / name).mkdir()
        (tmp_path / name / "mine").write_text(name)
    before = _tree(tmp_path)
    _write(tmp_path / "out", "old")
    _write(tmp_path / "out", replace=True)
    with whole_file(tmp_path / "file") as aside:
        aside.write_text("new")
    assert _tree(tmp_path) == before | {"out/deep/file": "new", "file": "new"}


def _file(path: Path) -> AbstractContextManager[Path]:
    return whole_file(path)


def _folder(path: Path) -> AbstractContextManager[Path]:
    return whole_folder(path, replace=True)


@pytest.mark.parametrize("writes", [_file, _folder])
@pytest.mark.parametrize("below", ["file/out", "file/deep/out"])
def test_a_place_where_nothing_can_be_written(
    tmp_path: Path, writes: Callable[[Path], AbstractContextManager[Path]], below: str
) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OutputError, match=rf"{below} cannot be written: Not a directory\.$"), writes(tmp_path / below):
        pytest.fail("nothing may be worked out for nowhere")
    with pytest.raises(OutputError, match=rf"{below} cannot be written: Not a directory\.$"):
        check_output(tmp_path / below)
    assert _tree(tmp_path) == {"file": "mine"}


def test_a_folder_without_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write everywhere
    with pytest.raises(OutputError, match="out cannot be written: Permission denied"):
        check_output(tmp_path / "out")


def test_a_name_too_long_for_the_one_aside_is_refused_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be written: File name too long"), whole_file(tmp_path / ("x" * 250)):
        pytest.fail("the work had begun")


def test_a_file_and_a_folder_do_not_replace_each_other(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OutputError, match="folder exists already and is not a file"), whole_file(tmp_path / "folder"):
        pytest.fail("the work had begun")
    with pytest.raises(OutputError, match="file exists already and is not a folder"):
        _write(tmp_path / "file", replace=True)
    with pytest.raises(OutputError, match="exists already and is not a file"), whole_file("/dev/null"):
        pytest.fail("the work had begun")
    assert _tree(tmp_path) == {"file": "mine"}


@pytest.mark.parametrize("replace", [False, True])
def test_the_folder_one_is_in_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, replace: bool) -> None:
    monkeypatch.chdir(tmp_path)  # its shell would be left in a folder that is gone
    with pytest.raises(OutputError, match=r"\. is the folder you are in .*; name a folder inside it"):
        _write(Path(), replace=replace)
    with pytest.raises(OutputError, match=r"--to \. is the folder you are in"):
        check_output(".", "--to")
    with pytest.raises(OutputError, match="/ is the root of the file system"):
        _write(Path("/"), replace=True)


def test_a_mount_point_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "is_mount", lambda path: path == tmp_path)
    with pytest.raises(OutputError, match="is a mount point and cannot be replaced; name a folder inside it"):
        check_output(tmp_path)
    check_output(tmp_path / "out")


def test_links_are_followed(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk/file").write_text("old")
    (tmp_path / "file").symlink_to("disk/file")
    (tmp_path / "out").symlink_to("disk/out")
    with whole_file(tmp_path / "file") as aside:
        aside.write_text("new")
    _write(tmp_path / "out", "old")
    _write(tmp_path / "out", replace=True)
    assert (tmp_path / "file").is_symlink()
    assert (tmp_path / "out").is_symlink()
    assert _tree(tmp_path / "disk") == {"file": "new", "out/deep/file": "new"}


def test_an_error_about_something_else_is_not_called_an_error_of_the_output(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), whole_folder(tmp_path / "out"):
        (tmp_path / "photo.jpg").read_bytes()
    with pytest.raises(BrokenPipeError), whole_file(tmp_path / "out"):
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")
    with (
        pytest.raises(OutputError, match="out cannot be written: No such file"),
        whole_folder(tmp_path / "out") as aside,
    ):
        (aside / "no folder/file").touch()
    assert _tree(tmp_path) == {}


def test_files_are_on_the_disk_before_the_folder_appears(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[tuple[str, bool]] = []
    monkeypatch.setattr(files, "_sync", lambda path: synced.append((path.name, (tmp_path / "out").exists())))
    _write(tmp_path / "out")
    assert sorted(synced[:-1]) == [(".out.item-partial", False), ("deep", False), ("file", False)]
    assert synced[-1] == (tmp_path.name, True)
    synced.clear()
    with whole_folder(tmp_path / "many", sync=False) as aside:
        (aside / "file").touch()
    assert [name for name, _ in synced] == [tmp_path.name]


def test_a_file_system_that_cannot_sync_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(descriptor: int) -> None:
        raise OSError(errno.EINVAL if broken is None else broken, "Input/output error")

    monkeypatch.setattr(os, "fsync", refuse)
    broken = None
    with whole_folder(tmp_path / "out") as aside:
        (aside / "folder").mkdir()
    broken = errno.EIO
    with pytest.raises(OutputError, match="Input/output error"), whole_file(tmp_path / "file") as aside:
        aside.touch()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_the_check_makes_the_parent_and_nothing_else(tmp_path: Path) -> None:
    check_output(tmp_path / "new/out")
    assert list(tmp_path.rglob("*")) == [tmp_path / "new"]
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"--html .*file exists already; choose another name, or remove it first"):
        check_output(tmp_path / "file", "--html")


_HOLD = """
import sys, time
from item_embed.files import locked
with locked(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


def test_what_another_process_writes_is_refused_until_that_ends(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with subprocess.Popen([sys.executable, "-c", _HOLD, str(out)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        for write in (whole_file, whole_folder, locked):
            with pytest.raises(OutputError, match="out is being written by another process"), write(out):
                pass
        with pytest.raises(OutputError, match="is being written"):
            check_output(out)
        other.kill()
    _write(out)
    assert _tree(tmp_path) == {"out/deep/file": "new"}


def test_a_lock_that_its_holder_removed_is_not_taken_for_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Opened before the other one removed it, locked after: somebody else may hold a new one."""
    real, times = os.open, [0]

    def open_then_remove(path: Path, *arguments: int) -> int:
        descriptor = real(path, *arguments)
        times[0] += 1
        if times[0] == 1:
            path.unlink()
        return descriptor

    monkeypatch.setattr(os, "open", open_then_remove)
    with locked(tmp_path / "out"):
        assert times == [2]
        assert (tmp_path / ".out.item-lock").exists()
    assert _tree(tmp_path) == {}
    assert list(tmp_path.iterdir()) == []


def test_file_systems_without_locks_do_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", flock)
    _write(tmp_path / "out")
    assert _tree(tmp_path) == {"out/deep/file": "new"}


def _resume(out: Path, job: str, stop: bool = False, replace: bool = False) -> list[str]:
    """Make a folder of two files; what an earlier run with this job had done already."""
    with locked(out), resumable_folder(out, job, replace=replace) as work:
        found = sorted(path.name for path in work.scratch.iterdir())
        (work.scratch / f"done by {job}").touch()
        (work.whole / "file").write_text(job)
        if stop:
            raise KeyboardInterrupt
    return found


def test_a_job_finds_what_it_left_and_nothing_of_another(tmp_path: Path) -> None:
    out = tmp_path / "out"
    for job in ("one", "other"):
        with pytest.raises(KeyboardInterrupt):
            _resume(out, job, stop=True)
    assert _resume(out, "other") == ["done by other"]
    assert _tree(tmp_path) == {"out/file": "other"}
    assert _resume(out, "one", replace=True) == []
    assert _tree(tmp_path) == {"out/file": "one"}
    with pytest.raises(OutputError, match="exists already"):
        _resume(out, "one")


def test_work_that_cannot_succeed_is_discarded(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        _resume(tmp_path / "out", "one", stop=True)
    discard_partial(tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("replace", [False, True])
@pytest.mark.parametrize("step", range(5))
def test_a_resumable_folder_killed_at_any_step_of_its_end(tmp_path: Path, step: int, replace: bool) -> None:
    """Whatever is left, the place holds the old folder, nothing, or the new one; and all can be made again."""
    out = tmp_path / "out"
    if replace:
        _write(out, "old")
    code = """
import os, shutil, signal, sys
from pathlib import Path
from item_embed import files
left = int(sys.argv[2])
def stepping(real):
    def step(*arguments, **options):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments, **options)
    return step
with files.locked(sys.argv[1]), files.resumable_folder(sys.argv[1], "job", replace=sys.argv[3] == "True") as work:
    (work.whole / "file").write_text("new")
    (work.scratch / "large").write_text("spool")
    Path.rename = stepping(Path.rename)
    shutil.rmtree = stepping(shutil.rmtree)
    files._recover = stepping(files._recover)
"""
    subprocess.run([sys.executable, "-c", code, str(out), str(step), str(replace)], check=False)
    with suppress(OutputError), locked(out), resumable_folder(out, "job", replace=replace) as work:
        (work.whole / "file").write_text("new")  # if it is not there already
    assert _tree(tmp_path) == {"out/file": "new"}


def test_what_safetensors_writes_others_may_read(tmp_path: Path) -> None:
    (tmp_path / "usual").touch()
    usual = (tmp_path / "usual").stat().st_mode
    tensors = {"one": np.ones(1, np.float32)}
    with whole_folder(tmp_path / "folder") as aside:
        (aside / "deep").mkdir()
        save_file(tensors, aside / "deep" / "numbers.safetensors")
    with whole_file(tmp_path / "file.safetensors") as aside:
        save_file(tensors, aside)
    for file in ("folder/deep/numbers.safetensors", "file.safetensors"):
        assert (tmp_path / file).stat().st_mode == usual
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file.safetensors", "folder", "usual"]
