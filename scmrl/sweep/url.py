"""Where the database of a sweep is: a checked URL, whose password is shown and written nowhere.

sqlite:///PATH        postgresql://USER@HOST:PORT/NAME        postgres:// and
                      postgresql+psycopg:// mean the same
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..system.dependencies import require
from ..system.errors import UsageError

if TYPE_CHECKING:
    from sqlalchemy import URL

FORMS = "sqlite:///PATH or postgresql://USER@HOST/NAME"
PASSWORD = "give the password in --storage, or better in PGPASSWORD or ~/.pgpass"
QUERY = {"host", "port", "sslmode", "sslrootcert", "sslcert", "connect_timeout", "application_name"}
POSTGRES = ("postgresql", "postgres", "postgresql+psycopg")


def parse(storage: str) -> URL:
    """The checked URL of a database. Raises `UsageError`, which shows no password."""
    import sqlalchemy

    kind = storage.partition(":")[0]
    shown = kind if kind in ("sqlite", *POSTGRES) else "another kind of URL"
    try:
        url = sqlalchemy.make_url(storage)
    except (sqlalchemy.exc.ArgumentError, ValueError):
        raise refusal("not the URL of a database", FORMS, shown) from None
    if url.drivername == "sqlite":
        path = url.database or ""
        if path in ("", ":memory:") or "\0" in path or url.host or url.query:
            raise refusal("not a file of SQLite", "sqlite:///PATH", shown)
        return url.set(database=str(Path(path).absolute()))
    if url.drivername not in POSTGRES:
        raise refusal("no such kind of database", FORMS, shown)
    unknown = sorted(set(url.query) - QUERY)
    if unknown or not all(isinstance(value, str) for value in url.query.values()):
        what, known = "an option of the URL is not taken, or given twice", ", ".join(sorted(QUERY))
        raise refusal(what, known, ", ".join(unknown) or shown, PASSWORD)
    if not url.database or "@" in (url.host or "") or not storage.isprintable():
        fix = "write @, : and / in a password as %40, %3A and %2F"
        raise refusal("not the URL of a database", FORMS, shown, fix)
    require("psycopg", "sweeps that several machines share")
    return url.set(drivername="postgresql+psycopg")


def refusal(what: str, limit: str, value: str, fix: str | None = None) -> UsageError:
    return UsageError(what, where="--storage", limit=limit, value=value, fix=fix)


def _open_part(url: URL) -> URL:
    """The URL without its password (`URL.set` takes None for "as it is")."""
    import sqlalchemy

    kept = {part: getattr(url, part) for part in ("username", "host", "port", "database", "query")}
    return sqlalchemy.URL.create(url.drivername, **kept)


def hidden(url: URL) -> str:
    """The URL as it is shown."""
    return _open_part(url.set(drivername=url.drivername.partition("+")[0])).render_as_string()


def without_password(storage: str | None) -> str | None:
    """What of a URL may be written to a file."""
    return _open_part(parse(storage)).render_as_string() if storage else None
