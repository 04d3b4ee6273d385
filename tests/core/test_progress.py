"""Long work speaks on a terminal alone, in one line that is written over until it is done."""

import io

import pytest

from scmrl.core.report import progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def standing_for_standard_error(out, monkeypatch):
    monkeypatch.setattr("sys.stderr", out)
    return out


@pytest.mark.parametrize("total", [3, 1000])
def test_the_line_ends_with_the_work(monkeypatch, total):
    terminal = standing_for_standard_error(Terminal(), monkeypatch)
    speak = progress.Progress("samples")
    for done in (1, total - 1, total):
        speak(done, int(str(total)))
    said = terminal.getvalue()
    assert said.count("\n") == 1 and said.endswith("0 s left\n")
    assert [part.split()[1] for part in said.split("\r\033[K")[1:]] == [
        f"{done}/{total}" for done in (1, total - 1, total)
    ]


def test_no_terminal_no_line(monkeypatch):
    out = standing_for_standard_error(io.StringIO(), monkeypatch)
    progress.Progress("samples")(1, 2)
    assert out.getvalue() == ""


@pytest.mark.parametrize("shown", [False, True])
def test_items_come_in_order_and_progress_where_it_is_shown(monkeypatch, shown):
    terminal = standing_for_standard_error(Terminal(), monkeypatch)
    monkeypatch.setattr(progress, "_shown", shown)
    monkeypatch.setattr(progress, "EVERY", 0.0)
    assert list(progress.each("abc", "letters")) == ["a", "b", "c"]
    assert list(progress.each("", "letters")) == []
    said = terminal.getvalue()
    assert said.count("\n") == shown and all((f"letters {n}/3" in said) == shown for n in range(4))
