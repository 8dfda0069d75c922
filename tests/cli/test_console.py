import io
import json
import sys

import pytest

from item_embed.cli import console


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_piped_progress_is_a_line_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = iter([0.0, 1.0, 10.0, 11.0, 20.0, 30.0])
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    with console.progress("checking rows") as on_progress:
        for done, total in [(100, 4000), (1000, 4000), (1100, 4000), (2000, 4000), (3000, None)]:
            on_progress(done, total)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == [
        "checking rows: 1,000 of 4,000, 100/s, 0:30 left",
        "checking rows: 2,000 of 4,000, 100/s, 0:20 left",
        "checking rows: 3,000, 100/s",
    ]


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = _Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with console.progress("checking rows") as on_progress:
        on_progress(10, None)
        on_progress(400, 400)
    assert "checking rows" in terminal.getvalue()
    assert "400/400" in terminal.getvalue()


def test_remarks_go_to_stderr_and_results_to_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    console.say("a remark")
    console.table("Title", ["name", "rows"], [["[bold] is text", "12"], ["b", "3"]])
    captured = capsys.readouterr()
    assert captured.err == "a remark\n"
    assert "Title" in captured.out
    assert "[bold] is text" in captured.out


def test_json_is_one_value_and_keeps_letters(capsys: pytest.CaptureFixture[str]) -> None:
    console.print_json({"title": "café", "n": [1, None]})
    out = capsys.readouterr().out
    assert json.loads(out) == {"title": "café", "n": [1, None]}
    assert "café" in out


@pytest.mark.parametrize(("seconds", "text"), [(5, "0:05"), (65, "1:05"), (3725, "1:02:05")])
def test_durations(seconds: float, text: str) -> None:
    assert console._duration(seconds) == text


def test_rates_count_from_the_first_report() -> None:
    pace = console._Pace()
    assert pace.rate(1900, 0.0) == ""  # resumed: what was done before is not this run's pace
    assert pace.rate(1901, 4.0) == "4.0 s each"
    assert pace.rate(1901, 90.0) == "1:30 each"
    assert pace.rate(1905, 2.0) == "2.5/s"
    assert pace.rate(11_900, 4.0) == "2,500/s"
