"""The memory of a sweep: one study in Optuna's tables, in SQLite (one machine) or PostgreSQL
(many).

    sqlite:///PATH        postgresql://USER@HOST:PORT/NAME        postgres:// and
                          postgresql+psycopg:// mean the same

What a database holds is data of whoever could write it: it is read as JSON and numbers (Optuna
unpickles nothing here) and checked against the axes. Passwords are shown and written nowhere.
Whoever decides which trial comes next holds `deciding`, so that of all workers on all machines one
decides at a time; a dead one holds nothing.
"""

from __future__ import annotations

import contextlib
import importlib.util
import math
import os
import sqlite3
import stat
import urllib.parse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..system.errors import BackendError, DataError, MissingDependency, ScmrlError, UsageError
from .sampling import Past, Settings
from .space import Axis

STUDY = "scmrl"
FORMS = "sqlite:///PATH or postgresql://USER@HOST/NAME"
PASSWORD = "give the password in --storage, or better in PGPASSWORD or ~/.pgpass"
QUERY = {"host", "port", "sslmode", "sslrootcert", "sslcert", "connect_timeout", "application_name"}
POSTGRES = ("postgresql", "postgres", "postgresql+psycopg")
LARGEST_FILE = 1 << 30  # bytes of an SQLite database that is opened
MOST_TRIALS = 1_000_000
WAIT_S = 60  # for a lock of the database
POOL = {"pool_size": 32, "max_overflow": -1}
CONNECTION = {
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
}
ALONE = (
    f"SET LOCAL lock_timeout = '{WAIT_S}s'",  # of PostgreSQL; what hangs or is cut off lets go
    f"SET LOCAL idle_in_transaction_session_timeout = '{WAIT_S}s'",
    f"SELECT pg_advisory_xact_lock({0x73636D726C})",
)


@dataclass(frozen=True)
class Record:
    """A trial as the database has it: `values` of the objectives where it is complete, free `notes`
    beside.
    """

    number: int
    state: str  # running, complete or fail
    settings: Settings
    values: tuple[float, ...] = ()
    notes: dict[str, object] = field(default_factory=dict)

    @property
    def past(self) -> Past:
        return Past(self.state, self.settings, self.values)

    def figure(self, name: str) -> float | None:
        value = self.notes.get(name)
        right = (
            isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
        )
        return float(value) if right else None

    def count(self, name: str) -> int:
        value = self.notes.get(name)
        return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else 0

    def text(self, name: str) -> str:
        value = self.notes.get(name)
        return value if isinstance(value, str) else ""


class Database:
    """The study of one sweep. Raises one-line errors alone; numbers of trials are also its keys."""

    def __init__(
        self, storage: str | None, out: Path, axes: Sequence[Axis], directions: Sequence[str]
    ):
        self.axes, self.directions = axes, list(directions)
        self.url = parse(storage) if storage else None
        path = self.url.database if self.url and self.url.drivername == "sqlite" else None
        self.path = None if self.url and path is None else Path(path or out / "study.db").absolute()
        self.secret = str(self.url.password or "") if self.url else ""
        self.shown = str(self.path) if self.path else hidden(self.url)
        self.ids: dict[int, int] = {}
        self.count = 0  # of all trials: the number of the next one
        with self._speaking("cannot open the sweep's database"):
            self.tables, self.study = self._open()

    def _open(self):
        """(Optuna's storage, number of the study in it), both made where they are missing."""
        import optuna
        import sqlalchemy

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        if self.path:
            _check_file(self.path)
            url, options = "sqlite:///study.db", {"creator": self._sqlite, **POOL}
        else:
            url, options = (
                self.url.render_as_string(hide_password=False),
                {"connect_args": CONNECTION, **POOL},
            )
        self.engine = sqlalchemy.create_engine(url, **options)
        with self._alone():  # of two that make the tables one would fail
            if not self.path:
                _check_tables(self.engine)
            tables = optuna.storages.RDBStorage(
                url.replace("{", "{{").replace("}", "}}"), engine_kwargs=options
            )
            directions = [optuna.study.StudyDirection[d.upper()] for d in self.directions]
            with contextlib.suppress(optuna.exceptions.DuplicatedStudyError):
                tables.create_new_study(directions, STUDY)
        study = tables.get_study_id_from_name(STUDY)
        found = [direction.name.lower() for direction in tables.get_study_directions(study)]
        if found != self.directions:
            raise UsageError(
                "the database holds a sweep with other objectives",
                where=self.shown,
                limit=found,
                value=self.directions,
            )
        return tables, study

    def _sqlite(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=WAIT_S, check_same_thread=False)
        connection.execute("PRAGMA trusted_schema = OFF")
        return connection

    @contextlib.contextmanager
    def _speaking(self, what: str = "the sweep's database failed") -> Iterator[None]:
        """One line instead of the errors of SQLAlchemy, the driver, Optuna and json, which have no
        common base.
        """
        try:
            yield
        except ScmrlError:
            raise
        except Exception as error:
            kind, fix = (
                (DataError, None) if self.path else (BackendError, "what is finished is kept")
            )
            reason = _reason(error)
            if "password" in reason:
                fix = PASSWORD
            if self.secret:
                reason = reason.replace(self.secret, "***")
            raise kind(what, where=self.shown, value=reason, fix=fix) from None

    @contextlib.contextmanager
    def deciding(self) -> Iterator[None]:
        """Of all workers of this database one is in here at a time."""
        alone = self._alone()
        with self._speaking():
            alone.__enter__()
        try:
            yield
        finally:
            with self._speaking():
                alone.__exit__(None, None, None)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """A lock on the folder of SQLite's file (one on the file could take SQLite's own away), or
        the server's.
        """
        with contextlib.ExitStack() as stack:
            if self.path:
                _lock_folder(self.path.parent, stack)
            else:
                connection = stack.enter_context(self.engine.begin())
                for statement in ALONE:
                    connection.exec_driver_sql(statement)
            yield

    def sweep(self, wanted: dict[str, object]) -> None:
        """Keep what the sweep is asked for; refuse a database that holds another one."""
        with self._speaking():
            found = self.tables.get_study_user_attrs(self.study).get("sweep")
            if found is None:
                self.tables.set_study_user_attr(self.study, "sweep", wanted)
                return
        other = [
            key
            for key in wanted
            if isinstance(found, dict) and found.get(key, wanted[key]) != wanted[key]
        ]
        if other or not isinstance(found, dict):
            raise UsageError(
                "the database holds another sweep",
                where=f"{self.shown}: {', '.join(other[:3])}",
                limit=found[other[0]] if other else None,
                value=wanted[other[0]] if other else found,
                fix="go on with what that one was asked for, or give a database of its own",
            )

    def records(self) -> list[Record]:
        """All trials by number. Those of another kind (of 0.1.0: queued, or killed before they had
        settings) are left out.
        """
        with self._speaking():
            trials = self.tables.get_all_trials(self.study, deepcopy=False)
            ids = {trial.number: trial._trial_id for trial in trials}
            records = [
                self._record(trial) for trial in sorted(trials, key=lambda trial: trial.number)
            ]
        if len(ids) < len(trials):
            raise DataError("two trials have one number", where=self.shown)
        self.ids, self.count = ids, len(trials)
        return [record for record in records if record]

    def _record(self, trial) -> Record | None:
        where, state = f"{self.shown}: trial {trial.number!r}", trial.state.name.lower()
        if type(trial.number) is not int or not 0 <= trial.number < MOST_TRIALS:
            raise DataError("not a number of a trial", where=where, limit=f"0..{MOST_TRIALS - 1}")
        unset = any(axis.key not in trial.params for axis in self.axes)
        if state not in ("running", "complete", "fail") or (state != "complete" and unset):
            return None
        for axis in self.axes:
            if axis.key not in trial.params or not axis.holds(trial.params[axis.key]):
                raise DataError(
                    "a setting lies outside its axis",
                    where=f"{where}: {axis.key}",
                    limit=axis.text(),
                    value=trial.params.get(axis.key),
                )
        values = tuple(trial.values or ()) if state == "complete" else ()
        if state == "complete" and (
            len(values) != len(self.directions) or not all(map(math.isfinite, values))
        ):
            raise DataError(
                "not the values of its objectives", where=where, limit=self.directions, value=values
            )
        settings = {axis.key: trial.params[axis.key] for axis in self.axes}
        return Record(trial.number, state, settings, values, dict(trial.user_attrs))

    def begin(self, settings: Settings, notes: dict[str, object]) -> int:
        """A new running trial, whole at once; its number. To be called while `deciding`."""
        import optuna

        with self._speaking():
            trial = optuna.trial.create_trial(
                state=optuna.trial.TrialState.RUNNING,
                params=settings,
                user_attrs=notes,
                distributions={axis.key: axis.distribution() for axis in self.axes},
            )
            key = self.tables.create_new_trial(self.study, trial)
            number = self.tables.get_trial_number_from_id(key)
            self.ids[number] = key
            return number

    def note(self, number: int, **notes: object) -> None:
        """Write beside a running trial."""
        with self._speaking():
            for name, value in notes.items():
                self.tables.set_trial_user_attr(self.ids[number], name, value)

    def end(self, number: int, state: str, values: Sequence[float] | None = None) -> None:
        """The running trial is complete, with `values`, or a fail."""
        import optuna

        with self._speaking():
            self.tables.set_trial_state_values(
                self.ids[number], optuna.trial.TrialState[state.upper()], values
            )


def parse(storage: str):
    """The checked URL of a database. Raises `UsageError`, which shows neither password nor a text
    it might be in.
    """
    import sqlalchemy

    kind = storage.partition(":")[0]
    shown = kind if kind in ("sqlite", *POSTGRES) else "another kind of URL"
    try:
        url = sqlalchemy.make_url(storage)
    except (sqlalchemy.exc.ArgumentError, ValueError):
        raise UsageError(
            "not the URL of a database", where="--storage", limit=FORMS, value=shown
        ) from None
    if url.drivername == "sqlite":
        if (
            not url.database
            or url.host
            or url.query
            or url.database == ":memory:"
            or "\0" in url.database
        ):
            raise UsageError(
                "not a file of SQLite", where="--storage", limit="sqlite:///PATH", value=shown
            )
        return url.set(database=str(Path(url.database).absolute()))
    if url.drivername not in POSTGRES:
        raise UsageError("no such kind of database", where="--storage", limit=FORMS, value=shown)
    unknown = sorted(set(url.query) - QUERY)
    if unknown or not all(isinstance(value, str) for value in url.query.values()):
        raise UsageError(
            "an option of the URL is not taken, or given twice",
            where="--storage",
            limit=", ".join(sorted(QUERY)),
            value=", ".join(unknown) or shown,
            fix=PASSWORD,
        )
    if not url.database or "@" in (url.host or "") or not storage.isprintable():
        raise UsageError(
            "not the URL of a database",
            where="--storage",
            limit=FORMS,
            value=shown,
            fix="write @, : and / in a password as %40, %3A and %2F",
        )
    if importlib.util.find_spec("psycopg") is None:
        raise MissingDependency("psycopg", enables="sweeps that several machines share")
    return url.set(drivername="postgresql+psycopg")


def _open_part(url):
    """The URL without its password (`URL.set` takes None for "as it is")."""
    import sqlalchemy

    return sqlalchemy.URL.create(
        url.drivername,
        username=url.username,
        host=url.host,
        port=url.port,
        database=url.database,
        query=url.query,
    )


def hidden(url) -> str:
    """The URL as it is shown."""
    return _open_part(url.set(drivername=url.drivername.partition("+")[0])).render_as_string()


def without_password(storage: str | None) -> str | None:
    """What of a URL may be written to a file."""
    return _open_part(parse(storage)).render_as_string() if storage else None


def _check_file(path: Path) -> None:
    """Refuse, before anything is written to it, a file that is not a database of Optuna or holds
    code of its own.
    """
    try:
        found = path.stat()
    except FileNotFoundError:
        return
    except OSError as error:
        raise DataError("cannot read", where=path, value=error.strerror) from None
    if not stat.S_ISREG(found.st_mode):
        raise DataError("not a file of SQLite", where=path, value="a folder, a pipe or a device")
    if found.st_size > LARGEST_FILE:
        raise DataError("file is too large", where=path, limit=LARGEST_FILE, value=found.st_size)
    with contextlib.closing(
        sqlite3.connect(f"file:{urllib.parse.quote(str(path))}?mode=ro", uri=True, timeout=WAIT_S)
    ) as connection:
        kinds = connection.execute("SELECT type, name FROM sqlite_master").fetchall()
        if found.st_size:
            first = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            if first != "ok":
                raise DataError("the database is damaged", where=path, value=first)
    names = {name for kind, name in kinds if kind == "table"}
    if any(kind in ("trigger", "view") for kind, _ in kinds) or (
        names and "version_info" not in names
    ):
        raise DataError(
            "not the database of a sweep",
            where=path,
            value=", ".join(sorted(names)[:5]) or None,
            fix="move this file away or give another --out",
        )


def _check_tables(engine) -> None:
    """Refuse, before tables are made, a PostgreSQL database where others have tables of the same
    names.
    """
    import sqlalchemy

    names = set(sqlalchemy.inspect(engine).get_table_names())
    if (
        names & {"studies", "trials", "trial_params", "study_directions"}
        and "version_info" not in names
    ):
        raise UsageError(
            "the database has tables of another program",
            where="--storage",
            value="studies, trials or the like",
            fix="give a database of its own",
        )


def _lock_folder(folder: Path, stack: contextlib.ExitStack) -> None:
    try:
        import fcntl

        descriptor = os.open(folder, os.O_RDONLY)
    except (ImportError, OSError):  # not a POSIX system: one worker at a time there
        return
    stack.callback(os.close, descriptor)
    with contextlib.suppress(OSError):  # a file system that cannot
        fcntl.flock(descriptor, fcntl.LOCK_EX)


def _reason(error: BaseException) -> str:
    """The first line of the driver's words, without SQL and its parameters."""
    while getattr(error, "orig", None) or error.__cause__:
        error = getattr(error, "orig", None) or error.__cause__
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__
