"""An NNI experiment's database, ``db/nni.sqlite`` in its folder."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

DATABASE = Path("db") / "nni.sqlite"
"""Where the database lies in an experiment's folder."""


class ExperimentError(ValueError):
    """An experiment that is not there, can't be read or is none of ours; the message says what to do."""


def is_experiment(path: Path) -> bool:
    """Return whether a folder is that of an NNI experiment."""
    return (path / DATABASE).is_file()


def query(path: Path, *statements: str) -> list[list[tuple[Any, ...]]]:
    """Return the rows of some queries to an experiment's database, all of one moment.

    Parameters
    ----------
    path
        The experiment's folder.
    statements
        SQL that reads.

    Returns
    -------
    list of list of tuple
        The rows of each statement.

    Raises
    ------
    ExperimentError
        If it can't be read as the database of an experiment.
    """
    file = Path(os.path.realpath(path / DATABASE))
    try:
        try:
            return _fetch(f"{file.as_uri()}?mode=ro", statements)
        except sqlite3.OperationalError as error:
            if "readonly" not in str(error):
                raise
        # A manager was killed while it wrote. SQLite undoes what it left behind, in a copy here.
        with TemporaryDirectory() as folder:
            for part in file.parent.glob(f"{file.name}*"):
                shutil.copy(part, folder)
            return _fetch((Path(folder) / file.name).as_uri(), statements)
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:  # the latter where its schema is no text
        raise ExperimentError(f"{file}: can't be read as the database of an NNI experiment ({error})") from error


def moment(milliseconds: int | None) -> datetime | None:
    """Return a time of the database in UTC; None of one that is not set, which NNI also writes as 0."""
    return datetime.fromtimestamp(milliseconds / 1000, tz=timezone.utc) if milliseconds else None


def _fetch(uri: str, statements: Iterable[str]) -> list[list[tuple[Any, ...]]]:
    with closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as database:
        database.execute("BEGIN")
        return [database.execute(statement).fetchall() for statement in statements]
