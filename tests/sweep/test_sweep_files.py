"""What a sweep reads: sweep.json and the database of strangers, of 0.1.0 and of other sweeps;
options out of range.
"""

from __future__ import annotations

import dataclasses
import json
import os
import random
import shutil
import socket
import sqlite3

import pytest

from scmrl.sweep import claim, trials, worker
from scmrl.sweep import url as urls
from scmrl.sweep.study import Sweep
from scmrl.sweep.trials import Record
from scmrl.system.errors import DataError, ScmrlError, UsageError

optuna = pytest.importorskip("optuna", reason="sweeps need optuna")

GOOD = {
    "axes": ["model.alpha=0.0..2.0", "model.steps=2,4"],
    "settings": ["train.epochs=1"],
    "config": None,
    "data_dir": None,
    "storage": None,
    "chip": "",
    "grid": False,
    "seed": 42,
    "trials": 3,
}
ASKED = Sweep(tuple(GOOD["axes"]), tuple(GOOD["settings"]), trials=3)


def written(out, **fields):
    (out / "sweep.json").write_text(json.dumps({**GOOD, **fields}))
    return out


def test_sweep_json_comes_back(tmp_path):
    ASKED.save(tmp_path)
    assert Sweep.load(tmp_path) == ASKED
    old = {key: value for key, value in GOOD.items() if key != "trials"}  # of 0.1.0
    (tmp_path / "sweep.json").write_text(json.dumps(old))
    assert Sweep.load(tmp_path) == dataclasses.replace(ASKED, trials=20)


WRONG = (
    [
        ("axes", value)
        for value in (
            None,
            1,
            "model.steps=1,2",
            {},
            [],
            [1],
            [None],
            [["a=1,2"]],
            ["a=[1],[2]"],
            ["a=1..2"],
            ["model.steps=1,1"],
            ["model.steps=1,2"] * 2,
            ["model.steps=\x1b[2J,2"],
            ["model.steps=" + "9" * 9000 + ",2"],
            ["model.steps=1,2"] * 2000,
            ["limits.nope=1,2"],
        )
    ]
    + [
        ("settings", value)
        for value in (
            None,
            1,
            "x",
            {},
            [1],
            [None],
            ["x"],
            [{}],
            ["model.alpha=1.0"],
            ["train.lr=[" + "[" * 3000],
            ["train.lr=\0"],
            ["nope=1"],
            ["train.lr=" + "1" * 20000],
            ["train.validation=0.0"],
        )
    ]
    + [
        (name, value)
        for name in ("config", "data_dir", "storage", "chip")
        for value in (1, True, [], {}, "\0", "a\nb", "\ud800", "x" * 20000)
    ]
    + [
        ("config", "/nonexistent.toml"),
        ("chip", None),
        ("chip", "nochip"),
        ("storage", "mysql://h/x"),
    ]
    + [("grid", value) for value in (None, 0, 1, "true", [], True)]
    + [
        (name, value)
        for name in ("seed", "trials")
        for value in (None, "1", 1.0, True, [], -1, 10**30, float("nan"))
    ]
    + [("trials", 0), ("nope", 1)]
)


@pytest.mark.parametrize(
    "field, value", WRONG, ids=[f"{name}-{str(value)[:20]!a}" for name, value in WRONG]
)
def test_a_wrong_field_of_sweep_json_is_named(tmp_path, field, value):
    with pytest.raises(ScmrlError) as error:
        Sweep.load(written(tmp_path, **{field: value}))
    assert error.value.exit_code in (2, 3) and str(error.value).isprintable()
    words = {
        "settings": "settings|set|alpha|train|nope|lr|validation",
        "grid": "grid",
        "storage": "storage",
        "axes": "axes|space",
        "config": "config|nonexistent",
    }.get(field, field)
    assert any(word in str(error.value) for word in words.split("|")), str(error.value)


@pytest.mark.parametrize(
    "changes, field",
    [
        ({"settings": [1]}, "settings[0]"),
        ({"axes": ["a=[1],[2]"]}, "a: a value"),
        ({"axes": None}, "axes: wrong type"),
    ],
)
@pytest.mark.parametrize("without", [(), ("storage", "trials"), ("grid",)], ids="-".join)
def test_the_command_names_the_field(scmrl, tmp_path, changes, field, without):
    """Also where the file lacks fields, as those of older versions do: it is a sweep's all the
    same.
    """
    fields = {key: value for key, value in {**GOOD, **changes}.items() if key not in without}
    (tmp_path / "sweep.json").write_text(json.dumps(fields))
    code, _, err = scmrl("sweep", "--resume", "--out", tmp_path)
    assert code in (2, 3) and "sweep.json" in err and field in err and len(err.splitlines()) == 1


@pytest.mark.parametrize(
    "text", ["", "[]", "1", "{", "[" * 100_000, '{"axes": ' + "[" * 50_000, "null", "\xff", "{}"]
)
def test_what_is_no_sweep_json_is_refused(tmp_path, text):
    (tmp_path / "sweep.json").write_text(text, encoding="latin-1")
    with pytest.raises(ScmrlError, match="sweep.json"):
        Sweep.load(tmp_path)


def mutated(random: random.Random) -> str:
    """sweep.json with a few bytes, or a few values, changed."""
    text = json.dumps(GOOD)
    if random.random() < 0.5:
        values = [
            None,
            True,
            0,
            -1,
            1e999,
            10**400,
            "",
            "\x1b",
            "\ud800",
            [],
            {},
            [[]],
            "a=1,2",
            "9" * 5000,
            "=",
            "..",
            "a=..",
            ":log",
            "train.lr=1e-4..1e-2:log",
            "limits.weight_bits=4,8",
            "[" * 2000,
        ]
        table = dict(GOOD)
        for _ in range(random.randint(1, 3)):
            name, value = random.choice(list(GOOD)), random.choice(values)
            table[name] = random.choice([value, [value], [*GOOD["axes"], value]])
        return json.dumps(table)
    data = bytearray(text.encode())
    for _ in range(random.randint(1, 6)):
        place = random.randrange(len(data))
        data[place : place + random.randint(0, 2)] = bytes(
            random.choices(range(32, 127), k=random.randint(0, 3))
        )
    return data.decode("latin-1")


def test_changed_sweep_json_loads_or_is_one_line(tmp_path):
    generator, refused = random.Random(7), 0
    for _ in range(1000):
        (tmp_path / "sweep.json").write_text(
            mutated(generator), encoding="utf-8", errors="surrogatepass"
        )
        try:
            Sweep.load(tmp_path)
        except ScmrlError as error:
            refused += 1
            assert "\n" not in str(error) and len(str(error)) < 8000
    assert 500 < refused < 1000


# The database.


def opened(out, sweep=ASKED) -> worker.Worker:
    return worker.Worker(sweep, out, lambda line: None)


def changed(out, *statements: str) -> None:
    with sqlite3.connect(out / "study.db") as connection:
        for statement in statements:
            connection.execute(statement)


@pytest.fixture(scope="module")
def three_trials(tmp_path_factory):
    """A sweep with a complete, a failed and a running trial."""
    out = tmp_path_factory.mktemp("sweep")
    run = opened(out)
    records = [run._claim()[0] for _ in range(3)]
    run._end(records[0], "complete", {"validation_accuracy": 0.5, "energy_uj": None}, [0.5])
    run._end(records[1], "fail", {"why": "bad"})
    run.database.note(2, owner={**run.me.note(), "pid": 2**22 + 1})  # of a process that is gone
    return out


@pytest.fixture
def begun(three_trials, tmp_path):
    """A copy of it."""
    shutil.copytree(three_trials, tmp_path, dirs_exist_ok=True)
    return tmp_path


def test_trials_come_back_from_the_database(begun):
    run = opened(begun)
    assert [(r.number, r.state, r.values) for r in run.database.records()] == [
        (0, "complete", (0.5,)),
        (1, "fail", ()),
        (2, "running", ()),
    ]
    assert [(t.number, t.validation_accuracy, t.why) for t in run.table()] == [
        (0, 0.5, ""),
        (1, None, "bad"),
        (2, None, ""),
    ]
    taken, wait = run._claim()  # the running one's worker is dead
    assert (taken.number, taken.count("retries"), wait) == (2, 1, False)
    assert run._claim() == (None, False)


@pytest.mark.parametrize(
    "content", [b"nonsense" * 1000, b"SQLite format 3\0" + b"\xff" * 4096, "folder", "pipe"]
)
def test_what_is_no_database_is_refused(tmp_path, content):
    path = tmp_path / "study.db"
    if content == "folder":
        path.mkdir()
    elif content == "pipe":
        os.mkfifo(path)
    else:
        path.write_bytes(content)
    with pytest.raises(DataError, match="study.db"):
        opened(tmp_path)
    assert not isinstance(content, bytes) or path.read_bytes() == content


def test_the_database_of_another_program_is_left_alone(tmp_path):
    changed(tmp_path, "CREATE TABLE bookmarks (url TEXT)")
    before = (tmp_path / "study.db").read_bytes()
    with pytest.raises(DataError, match="not the database of a sweep.*bookmarks"):
        opened(tmp_path)
    assert (tmp_path / "study.db").read_bytes() == before


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TRIGGER t AFTER INSERT ON trials BEGIN DELETE FROM studies; END",
        "CREATE VIEW v AS SELECT * FROM trials",
        "UPDATE trials SET state = 'NONSENSE'",
        "UPDATE trials SET number = 1",
        "UPDATE trials SET number = -1",
        "UPDATE trials SET number = '../../x'",
        "UPDATE trials SET number = NULL",
        "UPDATE trials SET number = 1e300",
        "UPDATE trial_values SET value = 'x'",
        "UPDATE trial_values SET value = NULL",
        "DELETE FROM trial_values",
        "UPDATE trial_values SET value_type = 'INF_POS'",
        "UPDATE trial_params SET param_value = 99",
        "UPDATE trial_params SET param_value = 'x'",
        "UPDATE trial_params SET param_value = -1e308",
        "UPDATE trial_params SET param_name = param_name || 'x' WHERE trial_id = 1",
        "UPDATE trial_params SET distribution_json = '{'",
        "UPDATE trial_params SET distribution_json = '[]'",
        (
            'UPDATE trial_params SET distribution_json = \'{"name": "os.system", "attributes":'
            ' {"x": 1}}\''
        ),
        "UPDATE trial_user_attributes SET value_json = '{'",
        "UPDATE study_directions SET direction = 'MINIMIZE'",
        "UPDATE study_directions SET direction = 'X'",
        "UPDATE study_user_attributes SET value_json = '[1]'",
        "UPDATE study_user_attributes SET value_json = '{'",
        "DROP TABLE trials",
        "DROP TABLE version_info",
        "UPDATE alembic_version SET version_num = 'x'",
    ],
)
def test_a_manipulated_database_is_refused_in_one_line(begun, statement):
    changed(begun, statement)
    with pytest.raises(ScmrlError) as error:
        run = opened(begun)
        run._claim()
        run.table()
    assert (
        error.value.exit_code in (2, 3)
        and str(error.value).isprintable()
        and len(str(error.value)) < 1000
    )


@pytest.mark.parametrize(
    "notes", ['"x"', "1", "null", "[]", "{}", '{"pid": "x"}', "1e999", "NaN", '"host:1:2"']
)
def test_notes_of_strangers_are_no_figures(begun, notes):
    changed(begun, f"UPDATE trial_user_attributes SET value_json = '{notes}'")
    run = opened(begun)
    assert run._claim()[0].number == 2
    first = run.table()[0]
    assert (
        first.validation_accuracy == 0.5
        and first.energy_uj in (None, 1.0)
        and first.retries in (0, 1)
    )


def test_nothing_in_a_database_is_run(begun):
    """Optuna's CMA-ES keeps pickles in attributes: ours is another sampler, and reads none."""
    import pickle

    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(begun / "ran"),)

    bomb = json.dumps(pickle.dumps(Bomb()).hex())
    for table, key in (
        ("trial_system_attributes", "trial_id"),
        ("study_system_attributes", "study_id"),
    ):
        for name in ("cma:optimizer:0", "cma:optimizer", "optimizer", "tpe:relative_params:0"):
            changed(
                begun,
                f"INSERT INTO {table} ({key}, key, value_json) VALUES (1, '{name}', '{bomb}')",
            )
    run = opened(begun)
    while run._claim()[0]:
        pass
    assert len(run.table()) == 3 and not (begun / "ran").exists()


@pytest.mark.parametrize(
    "other, said",
    [
        ({"axes": ("model.alpha=0.0..1.0", "model.steps=2,4")}, "another sweep"),
        ({"settings": ("train.epochs=2",)}, "train.epochs"),
        ({"chip": "loihi2"}, "other objectives"),
    ],
)
def test_a_database_of_another_sweep_is_refused(begun, other, said):
    with pytest.raises(UsageError, match=said):
        opened(begun, dataclasses.replace(ASKED, **other))


def test_a_sweep_of_0_1_0_is_gone_on_with(tmp_path):
    """As that version left it when it was killed: one trial complete, one running, one begun but
    not yet set.
    """
    out = tmp_path
    (out / "sweep.json").write_text(json.dumps({k: v for k, v in GOOD.items() if k != "trials"}))
    study = optuna.create_study(
        storage=f"sqlite:///{out / 'study.db'}", study_name="scmrl", directions=["maximize"]
    )
    for number in range(2):
        trial = study.ask()
        trial.set_user_attr("worker", f"{socket.gethostname()}:{2**22 + 1}")
        (
            trial.suggest_float("model.alpha", 0.0, 2.0),
            trial.suggest_categorical("model.steps", (2, 4)),
        )
        if number == 0:
            trial.set_user_attr("validation_accuracy", 0.25)
            study.tell(0, [0.25])
    study.ask().suggest_float("model.alpha", 0.0, 2.0)
    run = opened(out, Sweep.load(out))
    assert [(t.number, t.state, t.validation_accuracy) for t in run.table()] == [
        (0, "complete", 0.25),
        (1, "running", None),
    ]
    assert [run._claim()[0].number for _ in range(3)] == [1, 3, 4]


# Who runs a trial.


def record(**owner) -> Record:
    return Record(
        0, "running", {}, notes={"owner": {**claim.Claim.here().note(), **owner}, "beat": 0}
    )


def test_a_trial_is_abandoned_when_its_worker_is_dead():
    watch = claim.Watch()
    assert not watch.abandoned(record())  # this very process
    assert watch.abandoned(record(pid=2**22 + 1))  # none has this number
    assert watch.abandoned(record(started=1))  # another one had it
    assert watch.abandoned(Record(0, "running", {}, notes={"owner": None, "beat": 0}))  # given back


@pytest.mark.parametrize(
    "elsewhere", [{"host": "other", "boot": "x"}, {"space": "pid:[1]"}, {"boot": "x"}]
)
def test_a_worker_elsewhere_is_dead_when_it_stays_silent(elsewhere):
    watch, one = claim.Watch(), record(**elsewhere, pid=2**22 + 1)
    assert not watch.abandoned(one, now=0.0) and not watch.abandoned(one, now=claim.GRACE_S)
    one.notes["beat"] = 1
    assert not watch.abandoned(one, now=claim.GRACE_S + 1)
    assert not watch.abandoned(one, now=2 * claim.GRACE_S + 1)
    assert watch.abandoned(one, now=2 * claim.GRACE_S + 2)


def test_the_front_is_what_no_trial_beats():
    points = {
        0: (0.9, 5.0),
        1: (0.9, 6.0),
        2: (0.8, 4.0),
        3: (0.8, 5.0),
        4: (0.9, 5.0),
        5: (0.1, 9.0),
    }
    records = [Record(n, "complete", {}, values) for n, values in points.items()] + [
        Record(6, "fail", {})
    ]
    assert trials.pareto(records, ["maximize", "minimize"]) == {0, 2, 4}
    assert trials.pareto(
        [Record(n, "complete", {}, v[:1]) for n, v in points.items()], ["maximize"]
    ) == {0, 1, 4}


# Options.


@pytest.mark.parametrize(
    "storage",
    [
        "postgresql://me:geheim@host:port/x",
        "postgresql://me:geh@eim@host/x",
        "postgresql://me:geheim@host",
        "postgresql://host/x?password=geheim",
        "postgresql://host/x?options=geheim",
        "postgresql+psycopg2://me:geheim@h/x",
        "mysql://me:geheim@host/x",
        "redis://:geheim@host",
        "geheim",
        "",
        "postgresql://me:geheim@[::1/x",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///x?uri=true&geheim=1",
        "postgresql://h/x?host=a&host=geheim",
        "sqlite://geheim/x",
    ],
)
def test_a_url_that_makes_no_sense_is_refused_and_its_password_kept(storage):
    with pytest.raises(UsageError, match="--storage") as error:
        urls.parse(storage)
    assert "geheim" not in str(error.value)


def test_a_password_is_not_written_down(tmp_path):
    pytest.importorskip("psycopg")
    url = "postgres://me:geheim@host:5432/x?sslmode=require"
    dataclasses.replace(ASKED, storage=url).save(tmp_path)
    assert "geheim" not in (tmp_path / "sweep.json").read_text()
    assert Sweep.load(tmp_path).storage == "postgresql+psycopg://me@host:5432/x?sslmode=require"
    assert urls.hidden(urls.parse(url)) == "postgresql://me@host:5432/x?sslmode=require"


@pytest.mark.parametrize(
    "options, said",
    [
        (["--space=a=1,2", "--resume"], "--resume goes on"),
        (["--resume", "--seed=0"], "--resume goes on"),
        (["--resume", "--energy=loihi2"], "--resume goes on"),
        (["--resume", "--grid"], "--resume goes on"),
        ([], "needs an axis"),
        (["--resume"], "nothing to resume"),
        (["--space=model.nope=1,2"], "unknown configuration key"),
        (["--space=model.width=12,20"], "multiple of 8"),
        (["--space=model.steps=1,2", "--set=x"], "key=value"),
        (["--space=model.steps=1,2", "--set=model.steps=1"], "set as well as swept"),
        (["--space=model.steps=1,2", "--space=model.steps=3,4"], "given twice"),
        (["--space=model.steps=1,2", "--energy=nochip"], "no such hardware profile"),
        (["--space=limits.nope=1,2"], "no such limit"),
        (["--space=model.steps=1,2", "--grid", "--trials=2"], "own number"),
        (["--space=model.steps=1..2", "--grid"], "needs lists"),
        (["--space=model.steps=1,2", "--set=train.validation=0.0"], "nothing to choose by"),
        *[
            (["--space=model.steps=1,2", f"--{name}={value}"], f"--{name}")
            for name, values in {
                "trials": ("0", "-1", "nan", "1.5", str(10**30)),
                "jobs": ("0", "-1", "inf", str(10**30)),
                "seed": ("-1", "nan", str(2**64)),
                "storage": ("mysql://me:geheim@h/x", "x"),
            }.items()
            for value in values
        ],
    ],
)
def test_wrong_use_is_one_line_before_any_work(scmrl, tmp_path, options, said):
    code, out, err = scmrl("sweep", f"--out={tmp_path / 'x'}", *options)
    assert code == 2 and said in err and out == "" and err.count("\n") == 1 and "geheim" not in err
    assert not (tmp_path / "x").exists()


def test_a_sweep_takes_no_folder_of_others(scmrl, tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")
    code, _, err = scmrl("sweep", f"--out={tmp_path}", "--space=model.steps=1,2")
    assert (
        code == 2
        and "files that scmrl did not write" in err
        and os.listdir(tmp_path) == ["thesis.tex"]
    )
    code, _, err = scmrl("sweep", f"--out={tmp_path / 'thesis.tex'}", "--space=model.steps=1,2")
    assert code == 2 and (tmp_path / "thesis.tex").read_text() == "mine"


def test_a_sweep_that_is_there_is_not_begun_again(scmrl, begun):
    code, _, err = scmrl("sweep", f"--out={begun}", "--space=model.steps=1,2")
    assert code == 2 and "a sweep is there already" in err
