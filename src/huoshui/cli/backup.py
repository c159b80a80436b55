"""Copies of the database, made before every migration and whenever asked.

SQLite is copied by its own backup interface while others go on writing; PostgreSQL by `pg_dump`, when it is installed.
Files of facts never change and are named by their content: each is copied once, beside the copies of the database,
after the database that may name them.
"""

import os
import shutil
import sqlite3
import subprocess
from datetime import datetime
from pathlib import Path
from typing import Any

BACKUPS_KEPT = 10
STEP_PAGES = 4096


class BackupFailed(Exception):
    """No copy was made; the sentence says why and what to do."""


def backup(database: dict[str, Any], folder: Path, at: datetime) -> Path | None:
    """Copy the database into the folder; returns the copy, or None when there is nothing to copy yet.

    `database` is one of Django's DATABASES. Keeps the BACKUPS_KEPT latest copies. Raises BackupFailed.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    stem = f"huoshui-{at:%Y%m%d-%H%M%S}"
    if database["ENGINE"].endswith("sqlite3"):
        if not Path(database["NAME"]).exists():
            return None
        made = _copy_sqlite(Path(database["NAME"]), folder / f"{stem}.sqlite3")
    else:
        made = _dump_postgresql(database, folder / f"{stem}.dump")
    for old in sorted(folder.glob("huoshui-*"))[:-BACKUPS_KEPT]:
        old.unlink()
    return made


def keep_files(source: Path, target: Path) -> int:
    """Copy the files of facts that the backup does not have yet; returns how many. A copy appears whole or not."""
    fresh = [file for file in sorted(source.glob("*.parquet")) if not (target / file.name).exists()]
    for file in fresh:
        target.mkdir(parents=True, exist_ok=True, mode=0o700)
        unfinished = target / f"{file.name}.part"
        shutil.copyfile(file, unfinished)
        unfinished.chmod(0o600)
        unfinished.rename(target / file.name)
    return len(fresh)


def _copy_sqlite(source: Path, target: Path) -> Path:
    unfinished = target.with_suffix(".part")
    with sqlite3.connect(source) as reading, sqlite3.connect(unfinished) as writing:
        reading.backup(writing, pages=STEP_PAGES)
    reading.close()
    writing.close()
    unfinished.chmod(0o600)
    return unfinished.rename(target)


def _dump_postgresql(database: dict[str, Any], target: Path) -> Path:
    if shutil.which("pg_dump") is None:
        raise BackupFailed("pg_dump is not installed: install it, or back up otherwise and pass --no-backup")
    unfinished = target.with_suffix(".part")
    variables = {"PGHOST": "HOST", "PGPORT": "PORT", "PGUSER": "USER", "PGPASSWORD": "PASSWORD"}
    known = {name: str(database[key]) for name, key in variables.items() if database.get(key)}
    command = ["pg_dump", "--format=custom", f"--file={unfinished}", str(database["NAME"])]
    done = subprocess.run(command, env=os.environ | known, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        unfinished.unlink(missing_ok=True)
        raise BackupFailed(f"pg_dump failed: {done.stderr.strip()[:500]}")
    unfinished.chmod(0o600)
    return unfinished.rename(target)
