"""CRLs by URL: fetched, verified, kept; the last good one counts until its end, and then nothing does. And whether
those of files have changed.

What was fetched last lies in the data directory too, so that a broker that starts while the CA's web server is down
goes on with what it knew.
"""

import asyncio
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509

from bartizan.authn.base import ProviderUnavailable
from bartizan.authn.fetch import Fetcher
from bartizan.authn.outside import Trouble
from bartizan.broker.log import Journal
from bartizan.config.engine import NONE_FETCHED, FetchedCrls
from bartizan.config.files import read_file
from bartizan.config.layout import DataDirectory
from bartizan.config.schema import Settings
from bartizan.errors import CertificateUnusable, ConfigurationError
from bartizan.pki.crl_of_others import RevocationList, nobodys_crl
from bartizan.pki.files import PUBLIC, make_directory, write_durably

LOOK_INTERVAL_S = 5.0
"""How often it is looked whether a list is due, or has ended."""

RETRY = timedelta(minutes=1)
"""How often a list is fetched that is missing, or near its end."""

DEADLINE_S = 10.0
CRL_BYTES_MAX = 8 << 20
"""As much as the engine reads of one."""


def kept_at(data: DataDirectory, url: str) -> Path:
    """Where the last good list of a URL is kept."""
    return data.crls / f"{hashlib.sha256(url.encode()).hexdigest()}.crl"


class Source:
    """One URL, and what is known from it."""

    def __init__(self, url: str, file: Path, ca_files: Sequence[Path], refresh_s: int, trouble: Trouble) -> None:
        self.url = url
        self.held: RevocationList | None = None
        self._file = file
        self._ca_files = ca_files
        self._refresh = timedelta(seconds=refresh_s)
        self._trouble = trouble
        self._tried_at = datetime.min.replace(tzinfo=UTC)
        self._fetcher = Fetcher(
            url, ca_file=None, deadline_s=DEADLINE_S, bytes_max=CRL_BYTES_MAX, accept="application/pkix-crl, */*"
        )

    def recall(self, at: datetime) -> None:
        """Takes what was kept, if it is genuine; whether it still counts is seen when it is used."""
        try:
            self.held = RevocationList.read(self._file.read_bytes(), self._cas(), at=at)
        except (OSError, CertificateUnusable):
            self.held = None

    def is_due(self, at: datetime) -> bool:
        """Whether it is to be fetched now."""
        is_near = self.held is None or self.held.next_update - at <= self._refresh
        return at - self._tried_at >= (min(RETRY, self._refresh) if is_near else self._refresh)

    async def fetch(self, at: datetime) -> None:
        """Replaces the list by what is there now, if that is genuine and no older."""
        self._tried_at = at
        try:
            octets = await self._fetcher.get(self.url)
            await asyncio.to_thread(self._take, octets, at)
        except (ProviderUnavailable, CertificateUnusable, ConfigurationError, OSError) as error:
            self._trouble.met(str(error))
        else:
            self._tell(at)

    async def aclose(self) -> None:
        """Closes connections."""
        await self._fetcher.aclose()

    def _take(self, octets: bytes, at: datetime) -> None:
        newer = RevocationList.read(octets, self._cas(), at=at)
        if self.held is not None:
            self.held.check_successor(newer)
        if self.held is None or newer.pem != self.held.pem:
            make_directory(self._file.parent)
            write_durably(self._file, newer.pem.encode(), PUBLIC)
        self.held = newer

    def _tell(self, at: datetime) -> None:
        if self.held is not None and self.held.next_update <= at:
            self._trouble.met(f"the list there ended on {self.held.next_update:%Y-%m-%d %H:%M}Z")
        else:
            self._trouble.over()

    def _cas(self) -> list[x509.Certificate]:
        found: list[x509.Certificate] = []
        for file in self._ca_files:
            try:
                found += x509.load_pem_x509_certificates(read_file(file, "the client CA file"))
            except ValueError:
                raise CertificateUnusable(f"{file} holds no PEM certificate") from None
        return found


class WatchedFiles:
    """Files of CRLs by listener, and how they were when they were last looked at."""

    def __init__(self) -> None:
        self._marks: dict[str, tuple[object, ...]] = {}

    def changed(self, files: Mapping[str, Sequence[Path]]) -> frozenset[str]:
        """The listeners of which one is another than at the call before; all of those that are new."""
        marks = {name: tuple(map(_mark, each)) for name, each in files.items()}
        before, self._marks = self._marks, marks
        return frozenset(name for name, mark in marks.items() if before.get(name) != mark)


def _mark(file: Path) -> object:
    """Another one whenever the file was written, or another one put in its place."""
    try:
        found = file.stat()
    except OSError as error:
        return file, error.errno
    return file, found.st_ino, found.st_size, found.st_mtime_ns


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of one URL of one listener."""

    listener: str
    url: str
    held: RevocationList | None


class RevocationLists:
    """The lists of all listeners that have `crl_urls`."""

    def __init__(
        self,
        settings: Settings,
        data: DataDirectory,
        journal: Journal,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._now = now
        self._journal = journal
        self._listeners = {name: one for name, one in sorted(settings.listeners.items()) if one.crl_urls}
        self._nobodys = (nobodys_crl(),) if self._listeners else ()
        self._sources = {url: self._source(url, data) for one in self._listeners.values() for url in one.crl_urls}
        self._shown: Mapping[str, FetchedCrls] = {}

    async def begin(self) -> None:
        """Takes what was kept, and fetches what is not: whoever starts after this knows all that can be known."""
        at = self._now()
        await asyncio.to_thread(lambda: [source.recall(at) for source in self._sources.values()])
        missing = [one for one in self._sources.values() if one.held is None or one.held.next_update <= at]
        await asyncio.gather(*(source.fetch(at) for source in missing))
        self.take_changed()

    async def refresh(self) -> None:
        """Fetches what is due."""
        at = self._now()
        await asyncio.gather(*(source.fetch(at) for source in self._sources.values() if source.is_due(at)))

    def take_changed(self) -> bool:
        """Whether what a listener gets has changed since the last call: a list is new, or has ended."""
        wanted = {name: self.of(name) for name in self._listeners}
        changed = wanted != self._shown
        self._shown = wanted
        return changed

    def of(self, name: str) -> FetchedCrls:
        """What this listener goes by now. Of a CA whose list does not count, no certificate is accepted."""
        listener = self._listeners.get(name)
        if listener is None:
            return NONE_FETCHED
        at, is_danger = self._now(), listener.danger_stale_crl is not None
        leeway = timedelta(seconds=listener.crl_leeway_s)
        held = [self._sources[url].held for url in listener.crl_urls]
        counts = [one for one in held if one is not None and (is_danger or at < one.next_update + leeway)]
        return FetchedCrls(
            pems=(*(() if is_danger else self._nobodys), *(one.pem for one in counts)),
            stale=any(one.next_update <= at for one in counts),
            unknown=is_danger and len(counts) < len(held),
        )

    def known(self) -> Iterator[Known]:
        """Every URL of every listener."""
        for name, listener in self._listeners.items():
            for url in listener.crl_urls:
                yield Known(name, url, self._sources[url].held)

    async def aclose(self) -> None:
        """Closes connections."""
        for source in self._sources.values():
            await source.aclose()

    def _source(self, url: str, data: DataDirectory) -> Source:
        users = [one for one in self._listeners.values() if url in one.crl_urls]
        ca_files = [one.client_ca_file for one in users if one.client_ca_file is not None]
        trouble = Trouble(url, self._tell)
        return Source(url, kept_at(data, url), ca_files, min(one.crl_refresh_s for one in users), trouble)

    def _tell(self, url: str, wrong: str | None) -> None:
        held = self._sources[url].held
        until = None if held is None else held.next_update.isoformat()
        if wrong is None:
            self._journal.note("crl_available", url=url, next_update=until)
        else:
            self._journal.note("crl_unavailable", url=url, reason=wrong, next_update=until)
