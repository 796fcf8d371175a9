"""CRLs by URL: which lists count, for how long, and what holds where none does."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from bartizan.broker.crls import RevocationLists, WatchedFiles, kept_at
from bartizan.config.layout import DataDirectory
from bartizan.config.load import load_settings
from tests.authority import Issuer, Site, now, site

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Notes:
    def __init__(self) -> None:
        self.notes: list[tuple[str, dict[str, Any]]] = []

    def note(self, kind: str, /, **fields: Any) -> None:
        self.notes.append((kind, fields))


@dataclass
class Bench:
    ca: Issuer
    site: Site
    directory: Path
    at: datetime
    journal: Notes = field(default_factory=Notes)

    @property
    def data(self) -> DataDirectory:
        return DataDirectory(self.directory)

    def lists(self, **more: Any) -> RevocationLists:
        file = self.directory / "ca.pem"
        file.write_bytes(self.ca.pem)
        wanted = {"client_ca_file": str(file), "crl_urls": [self.site.url("/ca.crl")], **more}
        overrides = [f"listeners.mqtts.{key}={value!r}" for key, value in wanted.items()]
        settings = load_settings(None, ["listeners.mqtts.bind=127.0.0.1:1", *overrides])
        return RevocationLists(settings, self.data, cast("Any", self.journal), lambda: self.at)

    def serve(self, content: bytes) -> None:
        self.site.files["/ca.crl"] = content


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with site() as served:
        yield Bench(Issuer.root(), served, tmp_path, now())


async def begun(bench: Bench, **more: Any) -> RevocationLists:
    lists = bench.lists(**more)
    await lists.begin()
    return lists


async def later(bench: Bench, lists: RevocationLists, by: timedelta) -> bool:
    bench.at += by
    await lists.refresh()
    return lists.take_changed()


@pytest.mark.parametrize("der", [True, False])
async def test_a_list_is_fetched_before_the_start_and_counts(bench, der):
    bench.serve(bench.ca.crl(der=der))
    lists = await begun(bench)
    known = lists.of("mqtts")
    assert known.pems[-1] == bench.ca.crl().decode() or "BEGIN X509 CRL" in known.pems[-1]
    assert (len(known.pems), known.stale, known.unknown) == (2, False, False)
    [one] = lists.known()
    assert one.held is not None
    assert one.held.next_update > bench.at
    await lists.aclose()


async def test_without_a_list_there_is_one_that_speaks_for_nobody(bench):
    lists = await begun(bench)
    assert len(lists.of("mqtts").pems) == 1
    assert [kind for kind, _ in bench.journal.notes] == ["crl_unavailable"]
    bench.serve(bench.ca.crl())
    assert await later(bench, lists, timedelta(minutes=1))
    assert len(lists.of("mqtts").pems) == 2
    assert [kind for kind, _ in bench.journal.notes] == ["crl_unavailable", "crl_available"]
    await lists.aclose()


def _of_another(bench: Bench) -> bytes:
    return Issuer.root("another").crl()


def _forged(bench: Bench) -> bytes:
    return Issuer.root().crl()  # of the same name, by another key


def _future(bench: Bench) -> bytes:
    return bench.ca.crl(made=now() + timedelta(hours=10), ends=now() + timedelta(days=2))


def _garbage(bench: Bench) -> bytes:
    return b"<html>not found</html>"


def _endless(bench: Bench) -> bytes:
    return b"0" * (9 << 20)


def _a_certificate(bench: Bench) -> bytes:
    return bench.ca.pem


BAD = [_of_another, _forged, _future, _garbage, _endless, _a_certificate]


@pytest.mark.parametrize("bad", BAD)
async def test_what_the_ca_did_not_sign_is_no_list_and_the_last_good_one_stays(bench, bad):
    bench.serve(bad(bench))
    lists = await begun(bench)
    assert len(lists.of("mqtts").pems) == 1
    good = bench.ca.crl()
    bench.serve(good)
    await later(bench, lists, timedelta(minutes=1))
    before = lists.of("mqtts")
    assert len(before.pems) == 2
    bench.serve(bad(bench))
    assert not await later(bench, lists, timedelta(hours=1))
    assert lists.of("mqtts") == before
    assert bench.journal.notes[-1][0] == "crl_unavailable"
    await lists.aclose()


async def test_an_older_list_sent_again_takes_no_revocation_back(bench):
    lost = bench.ca.issue("lost")
    bench.serve(bench.ca.crl(lost))
    lists = await begun(bench)
    before = lists.of("mqtts")
    bench.serve(bench.ca.crl(made=now() - timedelta(hours=2)))
    assert not await later(bench, lists, timedelta(hours=1))
    assert lists.of("mqtts") == before
    assert "older" in bench.journal.notes[-1][1]["reason"]
    await lists.aclose()


async def test_a_list_counts_until_its_end_and_the_leeway_and_then_nothing_does(bench):
    bench.serve(bench.ca.crl(ends=bench.at + timedelta(hours=2)))
    lists = await begun(bench, crl_leeway_s=600)
    bench.site.is_down = True
    assert not await later(bench, lists, timedelta(hours=1))
    assert await later(bench, lists, timedelta(hours=1))
    assert (len(lists.of("mqtts").pems), lists.of("mqtts").stale) == (2, True)
    assert await later(bench, lists, timedelta(minutes=10))
    assert (len(lists.of("mqtts").pems), lists.of("mqtts").stale) == (1, False)
    bench.site.is_down = False
    bench.serve(bench.ca.crl(ends=now() + timedelta(days=1)))
    assert await later(bench, lists, timedelta(minutes=1))
    assert (len(lists.of("mqtts").pems), lists.of("mqtts").stale) == (2, False)
    await lists.aclose()


async def test_by_a_danger_with_a_reason_it_counts_on(bench):
    lists = await begun(bench, danger_stale_crl="the CA is on another continent")
    assert (lists.of("mqtts").pems, lists.of("mqtts").unknown) == ((), True)
    bench.serve(bench.ca.crl(ends=now() + timedelta(hours=1)))
    await later(bench, lists, timedelta(minutes=1))
    bench.site.is_down = True
    await later(bench, lists, timedelta(days=9))
    known = lists.of("mqtts")
    assert (len(known.pems), known.stale, known.unknown) == (1, True, False)
    await lists.aclose()


async def test_it_is_fetched_again_when_due_and_every_minute_near_its_end(bench):
    bench.serve(bench.ca.crl(ends=bench.at + timedelta(hours=10)))
    lists = await begun(bench, crl_refresh_s=3_600)
    for minutes, fetches in ((1, 1), (30, 1), (29, 2), (1, 2), (480, 3), (1, 4), (1, 5)):
        await later(bench, lists, timedelta(minutes=minutes))
        assert len(bench.site.asked) == fetches, minutes
    await lists.aclose()


async def test_the_last_good_one_is_kept_for_the_next_start(bench):
    bench.serve(bench.ca.crl())
    first = await begun(bench)
    await first.aclose()
    bench.site.is_down = True
    second = await begun(bench)
    assert second.of("mqtts").pems[1:] == first.of("mqtts").pems[1:]
    await second.aclose()
    # What lies there counts only if the CA signed it.
    kept_at(bench.data, bench.site.url("/ca.crl")).write_bytes(_forged(bench))
    third = await begun(bench)
    assert len(third.of("mqtts").pems) == 1
    await third.aclose()


async def test_a_listener_without_urls_gets_nothing(bench):
    lists = bench.lists()
    assert lists.of("wss").pems == ()
    assert not lists.of("wss").unknown
    await lists.aclose()


def test_a_file_that_is_written_replaced_or_gone_is_another_one(tmp_path):
    watched, file, other = WatchedFiles(), tmp_path / "a.crl", tmp_path / "b.crl"
    for each in (file, other):
        each.write_text("one")
    lists = {"mqtts": (file, other), "wss": (other,), "none": ()}
    assert watched.changed(lists) == {"mqtts", "wss", "none"}
    assert watched.changed(lists) == set()
    file.write_text("longer")
    assert watched.changed(lists) == {"mqtts"}
    (new := tmp_path / "new").write_text("longer")
    os.utime(new, ns=(file.stat().st_atime_ns, file.stat().st_mtime_ns))
    new.rename(file)
    assert watched.changed(lists) == {"mqtts"}
    other.unlink()
    assert watched.changed(lists) == {"mqtts", "wss"}
    assert watched.changed(lists) == set()
