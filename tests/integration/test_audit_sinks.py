"""Sinks and retention of a broker that runs: a server that goes away and comes back, and files that are old."""

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import httpx2

from bartizan.audit.keys import SigningKey
from bartizan.audit.log import Log
from bartizan.audit.record import Entry, Kind
from bartizan.audit.search import Wanted, records
from bartizan.audit.segments import segments
from bartizan.broker.chores import AUDIT_INTERVAL_S
from bartizan.config.audit import AuditSettings
from bartizan.model.actor import Actor
from tests.integration.conftest import Up, run
from tests.posts import Posts, taking_posts
from tests.security.party import eventually

SECRET = "s" * 32
WITHIN_S = 60.0


def sink(tmp_path: Path, service: Posts) -> list[str]:
    file = tmp_path / "sink-secret"
    file.write_text(SECRET)
    file.chmod(0o600)
    told = {"kind": "webhook", "webhook_url": service.url, "secret_file": file, "danger_plaintext_sink": "a test"}
    return [word for key, value in told.items() for word in ("--set", f"audit.sinks.siem.{key}={value}")]


def came(service: Posts, log: str = "changes") -> list[int]:
    """The numbers of what came, in order, each once."""
    every = [each for _, body in service.posted for each in json.loads(body)["records"]]
    return list(dict.fromkeys(each["seq"] for each in every if each["log"] == log))


def written(up: Up, log: str = "changes") -> list[int]:
    return [each["seq"] for each in records(up.data / "audit" / log)]


@contextmanager
def control(up: Up) -> Iterator[httpx2.Client]:
    transport = httpx2.HTTPTransport(uds=str(up.data / "control.sock"))
    with httpx2.Client(transport=transport, base_url="http://control", timeout=30) as client:
        yield client


def number(client: httpx2.Client, metric: str) -> int:
    found = re.search(rf"^{metric}{{sink=\"siem\"}} (\S+)$", client.get("/metrics").text, re.MULTILINE)
    assert found is not None
    return int(float(found[1]))


def test_a_sink_whose_server_goes_away_misses_nothing(up, tmp_path):
    def change(client: httpx2.Client, name: str, times: int) -> None:
        for at in range(times):
            assert client.post("/api/v1/groups", json={"group": f"{name}-{at}"}).status_code == 201

    with taking_posts("/audit") as service:
        running = up(*sink(tmp_path, service))
        with control(running) as client:
            change(client, "before", 3)
            eventually(lambda: came(service) == written(running), within_s=WITHIN_S)
            eventually(lambda: number(client, "bartizan_audit_lag_records") == 0, within_s=WITHIN_S)
    with control(running) as client:
        change(client, "away", 5)
        running.wait_for("audit_sink_unavailable", sink="siem")
        eventually(lambda: number(client, "bartizan_audit_lag_records") >= 10, within_s=WITHIN_S)
        with taking_posts("/audit", urlsplit(service.url).port or 0, service):
            running.wait_for("audit_sink_available", sink="siem")
            eventually(lambda: number(client, "bartizan_audit_lag_records") == 0, within_s=WITHIN_S)
            change(client, "after", 1)
            eventually(lambda: came(service) == written(running), within_s=WITHIN_S)
            assert number(client, "bartizan_audit_missed_records_total") == 0
            assert running.stop() == 0
    assert came(service) == written(running)
    assert came(service, "events") == written(running, "events")
    assert sum(event["event"] == "audit_sink_unavailable" for event in running.log()) == 1


def test_a_broker_removes_what_is_old_once_its_sinks_have_had_it(up, tmp_path):
    with taking_posts("/audit") as service:
        service.status = 503
        words = ["--set", "audit.keep_days=1", "--set", "audit.segment_bytes_max=65536", *sink(tmp_path, service)]
        first = up(*words)
        assert first.stop() == 0
        directory = first.data / "audit"
        settings = AuditSettings(segment_bytes_max=65_536)
        ago = datetime.now(UTC) - timedelta(days=10)
        old = Log(directory / "changes", SigningKey(directory), settings, now=lambda: ago)
        entry = Entry(Kind.CHANGE, "identity.set", Actor("anna"), "identity/press-01", after={"note": "n" * 900})
        for _ in range(3):
            old.append([entry] * 70)
        there = [each.name for each in segments(old.directory)]
        assert len(there) > 2
        service.refused = 0
        running = up(*words, data=first.data)
        # By then, the broker has looked for what is old.
        time.sleep(AUDIT_INTERVAL_S + 1)
        eventually(lambda: service.refused, within_s=WITHIN_S)
        assert [each.name for each in segments(old.directory)][: len(there)] == there
        service.status = 200
        eventually(lambda: not (old.directory / there[0]).exists(), within_s=WITHIN_S)
        eventually(lambda: service.posted and came(service)[-1] == written(running)[-1], within_s=WITHIN_S)
        assert came(service) == list(range(1, came(service)[-1] + 1))
        assert list(records(old.directory, Wanted(what="audit.retired")))
        verified = run("audit", "verify", "--data", running.data)
        assert verified.returncode == 0, verified.stdout
        assert running.stop() == 0
