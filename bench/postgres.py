"""A real PostgreSQL, for benchmarks and tests: a cluster of its own in a temporary directory, gone at the end."""

import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

USER = "bartizan"


@dataclass(frozen=True)
class Server:
    """A PostgreSQL that listens on a Unix socket, and asks for a password there."""

    programs: Path
    directory: Path
    password: str = field(repr=False)

    def url(self, database: str) -> str:
        """As `[store] identities` takes it: without the password."""
        return f"postgresql://{USER}@/{database}?host={self.directory}"

    def make_database(self) -> str:
        """An empty database; its URL."""
        name = f"t{secrets.token_hex(6)}"
        self.sql(f"CREATE DATABASE {name}")
        return self.url(name)

    def sql(self, statement: str, database: str = "postgres") -> str:
        """Runs a statement as the owner; what it answers."""
        command = [self.programs / "psql", "-h", self.directory, "-U", USER, "-d", database, "-Atc", statement]
        environment = os.environ | {"PGPASSWORD": self.password}
        return subprocess.run(  # noqa: S603
            command, env=environment, capture_output=True, text=True, check=True
        ).stdout.strip()


def find_programs() -> Path | None:
    """Debian's newest, or what is on the path; None where it is not installed."""
    debian = [path.parent for path in sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))]
    on_path = shutil.which("initdb")
    return debian[-1] if debian else None if on_path is None else Path(on_path).parent


@contextmanager
def started(programs: Path) -> Iterator[Server]:
    """A server, until the end of the block."""
    with tempfile.TemporaryDirectory(prefix="bartizan-pg-") as made:
        directory, password = Path(made), secrets.token_hex(8)
        (directory / "password").write_text(password)
        account = _account()
        if account is not None:
            # PostgreSQL refuses to run as root.
            for path in (directory, directory / "password"):
                os.chown(path, account.pw_uid, account.pw_gid)
        cluster = directory / "cluster"
        words = ["-U", USER, "--pwfile", directory / "password", "-A", "scram-sha-256", "-E", "UTF8", "--no-sync"]
        _run(account, directory, [programs / "initdb", "-D", cluster, *words, "--locale=C.UTF-8"])
        options = f"-c listen_addresses= -c unix_socket_directories={directory} -c fsync=off -c max_connections=60"
        control = [programs / "pg_ctl", "-D", cluster, "-w", "-s"]
        _run(account, directory, [*control, "-l", directory / "log", "-o", options, "start"])
        try:
            yield Server(programs, directory, password)
        finally:
            _run(account, directory, [*control, "-m", "immediate", "stop"])


def _account() -> pwd.struct_passwd | None:
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")


def _run(account: pwd.struct_passwd | None, directory: Path, command: Sequence[str | Path]) -> None:
    who: dict[str, Any] = (
        {} if account is None else {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    )
    # Into a file: the server inherits it, and would keep a pipe open for ever.
    with (directory / "output").open("ab") as output:
        subprocess.run(  # noqa: S603
            command, check=True, stdout=output, stderr=output, cwd=directory, timeout=60, **who
        )
