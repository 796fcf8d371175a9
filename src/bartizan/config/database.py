"""The address of a database: what may stand in it, and what may not."""

from urllib.parse import parse_qs, urlsplit

LOCAL = frozenset({"", "localhost", "127.0.0.1", "::1"})
VERIFIED = frozenset({"verify-ca", "verify-full"})


def parse_database_url(text: str, file_key: str = "identities_password_file") -> str:
    """`postgresql://USER@HOST:PORT/DATABASE`, without password; TLS is verified where it leaves the machine."""
    try:
        url = urlsplit(text)
        _ = url.port
    except ValueError as error:
        raise ValueError(f"no database address: {error}") from None
    if url.scheme != "postgresql" or url.path in {"", "/"}:
        raise ValueError("write it as postgresql://USER@HOST:PORT/DATABASE, or leave it out for SQLite")
    if url.password is not None:
        raise ValueError(
            f"a password in an address ends up in lists and logs: put it in the file that {file_key} names"
        )
    query = parse_qs(url.query, keep_blank_values=True)
    if unknown := sorted(query.keys() - {"sslmode", "host"}):
        raise ValueError(f"unknown parameter {unknown[0]!r}: sslmode and host (a socket's directory) are known")
    hosts = {url.hostname or "", *query.get("host", [])}
    is_local = all(host in LOCAL or host.startswith("/") for host in hosts)
    mode = query["sslmode"][-1] if "sslmode" in query else None
    if not is_local and mode is not None and mode not in VERIFIED:
        raise ValueError(f"sslmode={mode} lets others read and change it on the way: use verify-full")
    if is_local or mode is not None:
        return text
    return f"{text}{'&' if url.query else '?'}sslmode=verify-full"
