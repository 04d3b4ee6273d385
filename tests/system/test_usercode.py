"""Code that the user names: found, run, and whatever goes wrong in it said in one line of his."""

import sys

import pytest

from scmrl.system import usercode
from scmrl.system.errors import DataError, MissingDependency, ScmrlError, UsageError
from scmrl.system.interrupts import Terminated


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """An empty working directory; the modules that are loaded there are forgotten."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def written(name, *lines):
    with open(name, "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")


def test_a_file_and_a_module(place):
    written("beside.py", "VALUE = 3")
    written("net.py", "import beside", "def build(x):", "    return beside.VALUE * x")
    for reference in ("net.py:build", "net:build", f"{place}/net.py:build"):
        function = usercode.load(reference, "a network")
        assert usercode.call(function, 4, what="build") == 12
        assert usercode.place(function) == "net.py:2"
    written("net.py", "def build(x):", "    return -x")  # a file is run anew
    assert usercode.load("net.py:build", "a network")(4) == -4


def test_a_class_is_called_too():
    written("net.py", "", "class Net:", "    def __init__(self, n):", "        self.n = 1 / n")
    net = usercode.load("net.py:Net", "a network")
    assert usercode.call(net, 4, what="Net").n == 0.25
    with pytest.raises(UsageError, match="^net.py:4: Net raised ZeroDivisionError"):
        usercode.call(net, 0, what="Net")


@pytest.mark.parametrize(
    "reference, words",
    [
        ("net.py", "a network is named as FILE.py:NAME or MODULE:NAME .got net.py"),
        (":build", "is named as"),
        ("net.py:", "is named as"),
        ("net.py:a b", "is named as"),
        ("no.py:build", "no.py: cannot read .got No such file"),
        ("nowhere_at_all:build", "nowhere_at_all: no such module"),
        ("nowhere.at.all:build", "nowhere.at.all: "),
        ("..:build", "module .. raised"),
        ("net.py:biuld", "net.py: no such function .got biuld.; did you mean 'build'"),
        ("net.py:SIZE", "net.py: not a function .got SIZE"),
        ("folder.py:build", "folder.py: cannot read"),
    ],
)
def test_what_is_not_there(place, reference, words):
    written("net.py", "SIZE = 3", "def build(): pass")
    (place / "folder.py").mkdir()
    with pytest.raises(UsageError, match=words) as refused:
        usercode.load(reference, "a network")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "lines, words",
    [
        (["x = 1", "x.y"], "^net.py:2: the file raised AttributeError"),
        (["def build(:"], "^net.py:1: the file raised SyntaxError"),
        (["import nowhere_at_all"], "^net.py:1: the file raised ModuleNotFoundError"),
        (["", "import sys", "sys.exit('no')"], "^net.py:3: the file raised SystemExit: no"),
        (["def f(): return f()", "f()"], "^net.py:1: the file raised RecursionError"),
        (["raise ValueError('two\\nlines')"], "^net.py:1: the file raised ValueError: two lines"),
        (["import beside"], "^net.py:1: the file raised KeyError"),
    ],
)
def test_a_file_that_raises_names_its_line(lines, words):
    written("beside.py", "", "{}['x']")
    written("net.py", *lines)
    with pytest.raises(UsageError, match=words) as refused:
        usercode.load("net.py:build", "a network")
    assert "\n" not in str(refused.value)


def test_a_function_that_raises_names_the_deepest_line_of_its_file():
    written(
        "net.py",
        "import json",
        "def parse(text):",
        "    return json.loads(text)",
        "def build(text):",
        "    return parse(text)",
    )
    build = usercode.load("net.py:build", "a network")
    with pytest.raises(UsageError, match="^net.py:3: the network raised JSONDecodeError: Expect"):
        usercode.call(build, "{", what="the network")
    with pytest.raises(UsageError, match="^net.py:4: the network raised TypeError: .*missing"):
        usercode.call(build, what="the network")


def test_our_own_errors_keep_their_words_and_gain_the_line():
    written(
        "net.py",
        "from scmrl.system.errors import DataError, MissingDependency",
        "def data():",
        "    raise DataError('no such node', where='hidden', fix='add it')",
        "def library():",
        "    raise MissingDependency('h5py', enables='it')",
    )
    with pytest.raises(UsageError, match="^net.py:3: hidden: no such node; add it$") as refused:
        usercode.call(usercode.load("net.py:data", "data"), what="data")
    assert isinstance(refused.value.__cause__, DataError)
    with pytest.raises(MissingDependency):
        usercode.call(usercode.load("net.py:library", "data"), what="data")


def test_a_signal_goes_through():
    def stopped(kind):
        raise kind

    for kind in (KeyboardInterrupt, Terminated):
        with pytest.raises(kind):
            usercode.call(stopped, kind, what="it")
    with pytest.raises(ScmrlError):
        usercode.call(stopped, SystemExit, what="it")


def test_what_it_prints_is_not_our_output(capsys):
    written("net.py", "print('loading')", "def build(): print('building')")
    usercode.call(usercode.load("net.py:build", "a network"), what="build")
    assert capsys.readouterr() == ("", "loading\nbuilding\n")
