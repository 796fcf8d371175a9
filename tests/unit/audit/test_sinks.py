"""Sinks: every record arrives at least once and in order, also over failures and restarts; and how each kind says it."""

import hmac
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from bartizan.audit.carriers import carriers_of
from bartizan.audit.http import otlp
from bartizan.audit.search import records
from bartizan.audit.sinks import SETTLE_S, Carrier, NotDelivered, Record
from bartizan.audit.syslog import Syslog, framed, message
from bartizan.audit.trail import Trail
from bartizan.config.audit import AuditSettings
from bartizan.config.audit_sinks import SyslogSink
from bartizan.config.load import load_settings
from bartizan.errors import ConfigurationError
from bartizan.model.actor import Actor
from tests.authority import Issuer
from tests.posts import Posts, taking_posts

SECRET = "s" * 32


@pytest.fixture
def trail(tmp_path: Path) -> Trail:
    return Trail.of(tmp_path / "audit", AuditSettings(segment_bytes_max=65_536), Actor("anna"))


@dataclass
class Kept:
    """A sink that keeps what it gets, unless it is told to fail."""

    got: list[int] = field(default_factory=list)
    fails: int = 0

    def deliver(self, records: Sequence[Record]) -> None:
        if self.fails:
            self.fails -= 1
            raise NotDelivered("not now")
        self.got += [each["seq"] for each in records]

    def close(self) -> None:
        """Nothing is held."""


def change(trail: Trail, times: int = 1) -> None:
    for number in range(times):
        with trail.changing("identity.set", f"identity/{number}", after={"note": "n" * 500}):
            pass


def carrier(trail: Trail, sink: Kept, tell: Callable[[str, str | None], None] = lambda *_: None) -> Carrier:
    return Carrier("kept", sink, trail.log.directory.parent, ["changes", "events"], 10, tell)


def all_of(trail: Trail) -> list[int]:
    return [each["seq"] for each in records(trail.log.directory)]


def test_everything_arrives_in_order_and_a_restart_goes_on(trail):
    sink = Kept()
    change(trail, 40)
    first = carrier(trail, sink)
    assert first.lag() == len(all_of(trail))
    while first.carry():
        pass
    assert first.lag() == 0
    change(trail, 3)
    assert carrier(trail, sink).lag() > 0
    while carrier(trail, sink).carry():
        pass
    assert sink.got == all_of(trail)


def test_what_was_not_taken_comes_again(trail):
    sink = Kept(fails=1)
    change(trail)
    carrying = carrier(trail, sink)
    with pytest.raises(NotDelivered):
        carrying.carry()
    assert carrying.lag() > 0
    carrying.carry()
    assert sink.got == all_of(trail)


def test_the_thread_tells_a_failure_once_and_its_end(trail):
    told: list[tuple[str, str | None]] = []
    sink = Kept(fails=2)
    change(trail)
    carrying = carrier(trail, sink, lambda name, wrong: told.append((name, wrong)))
    carrying.start()
    until(lambda: sink.got == all_of(trail))
    carrying.close()
    assert told == [("kept", "not now"), ("kept", None)]


def test_what_comes_last_is_delivered_before_the_end(trail):
    sink = Kept()
    carrying = carrier(trail, sink)
    carrying.start()
    time.sleep(0.1)
    change(trail)
    carrying.close()
    assert sink.got == all_of(trail)


def until(holds: Callable[[], bool], within_s: float = 20.0) -> None:
    ends = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < ends
        time.sleep(0.02)


def made(trail: Trail, **settings: Any) -> Carrier:
    sinks = AuditSettings.model_validate({"sinks": {"one": settings}}).sinks
    [found] = carriers_of(trail.log.directory.parent, sinks, lambda *_: None)
    return found


def test_a_file_gets_the_lines_as_they_are_kept(trail, tmp_path):
    change(trail, 3)
    made(trail, kind="file", file=str(tmp_path / "copy.jsonl")).carry()
    written = b"".join(segment.read_bytes() for segment in sorted(trail.log.directory.glob("*.jsonl")))
    assert (tmp_path / "copy.jsonl").read_bytes() == written
    assert (tmp_path / "copy.jsonl").stat().st_mode & 0o777 == 0o600


# ---- syslog -------------------------------------------------------------------------------------


@dataclass
class Collector:
    """A collector of syslog over TLS."""

    port: int
    octets: list[bytes] = field(default_factory=list)
    streams: list[ssl.SSLSocket] = field(default_factory=list)

    def messages(self) -> list[bytes]:
        """The messages of all connections; each counted octet is there."""
        found: list[bytes] = []
        for octets in self.octets:
            left = octets
            while left:
                length, _, rest = left.partition(b" ")
                if len(rest) < int(length):
                    break
                found.append(rest[: int(length)])
                left = rest[int(length) :]
        return found


@contextmanager
def collecting(directory: Path, host: str = "localhost") -> Iterator[tuple[Collector, Path]]:
    authority = Issuer.root()
    server = authority.issue(host, sans=[x509.DNSName(host)], usages=[x509.ExtendedKeyUsageOID.SERVER_AUTH])
    ca = directory / "collector-ca.pem"
    ca.write_bytes(authority.pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*server.write(directory))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        collector = Collector(listening.getsockname()[1])

        def serve() -> None:
            while True:
                try:
                    plain, _ = listening.accept()
                    stream = context.wrap_socket(plain, server_side=True)
                except ssl.SSLError:
                    continue
                except OSError:
                    return
                collector.streams.append(stream)
                collector.octets.append(b"")
                threading.Thread(target=read, args=(stream, len(collector.octets) - 1), daemon=True).start()

        def read(stream: ssl.SSLSocket, at: int) -> None:
            try:
                while octets := stream.recv(65_536):
                    collector.octets[at] += octets
            except OSError:
                return

        threading.Thread(target=serve, daemon=True).start()
        try:
            yield collector, ca
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            for stream in collector.streams:
                stream.close()


def test_syslog_counts_octets_and_says_what_rfc_5424_asks_for(trail, tmp_path):
    with collecting(tmp_path) as (collector, ca):
        change(trail, 2)
        carrying = made(trail, kind="syslog", address=f"localhost:{collector.port}", ca_file=str(ca))
        carrying.carry()
        until(lambda: len(collector.messages()) == len(all_of(trail)))
        carrying.close()
    first = collector.messages()[0].decode()
    head, _, body = first.partition(" - {")
    priority, at, _host, app, process, kind = head.split(" ")
    assert (priority, app, process, kind) == ("<110>1", "bartizan", "-", "identity.set")
    assert at.endswith("Z")
    assert json.loads("{" + body)["seq"] == 1


def test_what_a_broken_connection_had_taken_is_sent_again(trail, tmp_path):
    with collecting(tmp_path) as (collector, ca):
        carrying = made(trail, kind="syslog", address=f"localhost:{collector.port}", ca_file=str(ca))
        change(trail)
        carrying.carry()
        until(lambda: len(collector.messages()) == len(all_of(trail)))
        before = len(all_of(trail))
        collector.streams[0].shutdown(socket.SHUT_RDWR)
        collector.streams[0].close()
        change(trail)
        time.sleep(0.1)
        carrying.carry()
        until(lambda: len(collector.messages()) == before + len(all_of(trail)))
        carrying.close()


class Clock:
    def __init__(self) -> None:
        self.at = 0.0

    def __call__(self) -> float:
        return self.at


def syslog(trail: Trail, collector: Collector, ca: Path, clock: Clock) -> Carrier:
    settings = SyslogSink(kind="syslog", address=f"localhost:{collector.port}", ca_file=ca)
    return Carrier("far", Syslog(settings), trail.log.directory.parent, ["changes"], 4, lambda *_: None, clock=clock)


def arrived(collector: Collector) -> list[int]:
    return [json.loads(each[each.index(b"{") :])["seq"] for each in collector.messages()]


def test_all_that_a_broken_connection_may_have_lost_is_sent_again_not_its_last_batch_alone(trail, tmp_path):
    clock = Clock()
    with collecting(tmp_path) as (collector, ca):
        carrying = syslog(trail, collector, ca, clock)
        change(trail, 10)
        while carrying.carry():
            pass
        every = all_of(trail)
        until(lambda: arrived(collector) == every)
        assert carrying.lag() == len(every), "nobody has said that it is there"
        collector.streams[0].shutdown(socket.SHUT_RDWR)
        collector.streams[0].close()
        until(lambda: is_over(carrying))
        while carrying.carry():
            pass
        until(lambda: arrived(collector) == every + every)
        carrying.close()


def is_over(carrying: Carrier) -> bool:
    assert isinstance(carrying._sink, Syslog)
    try:
        carrying._sink.settled()
    except NotDelivered:
        return True
    return False


def test_a_process_that_ends_sends_what_it_was_not_sure_of_again(trail, tmp_path):
    clock = Clock()
    with collecting(tmp_path) as (collector, ca):
        first = syslog(trail, collector, ca, clock)
        change(trail, 2)
        first.carry()
        clock.at += SETTLE_S
        first.carry()
        sure = len(all_of(trail)) - first.lag()
        assert sure > 0
        change(trail, 1)
        while first.carry():
            pass
        until(lambda: arrived(collector) == all_of(trail))
        first.close()
        second = syslog(trail, collector, ca, clock)
        while second.carry():
            pass
        until(lambda: arrived(collector) == all_of(trail) + all_of(trail)[sure:])
        clock.at += SETTLE_S
        second.carry()
        assert second.lag() == 0
        second.close()


def test_a_collector_whose_certificate_is_for_another_host_gets_nothing(trail, tmp_path):
    with collecting(tmp_path, "other.example") as (collector, ca):
        change(trail)
        carrying = made(trail, kind="syslog", address=f"localhost:{collector.port}", ca_file=str(ca))
        with pytest.raises(NotDelivered, match="certificate"):
            carrying.carry()
        assert carrying.lag() == len(all_of(trail))
    assert b"".join(collector.octets) == b""


def test_no_record_breaks_out_of_its_message():
    record = {"at": "2026-11-21T12:00:00.000+00:00", "what": "x y\n<1>1", "why": "a\nb", "log": "changes", "seq": 1}
    content = message(record, "host")
    assert b"\n" not in content
    assert b" x" + b"y<1>1 - {" in content
    assert framed(content).startswith(b"%d <110>1 " % len(content))


# ---- HTTPS --------------------------------------------------------------------------------------


@pytest.fixture
def service() -> Iterator[Posts]:
    with taking_posts("/audit") as found:
        yield found


def webhook(trail: Trail, tmp_path: Path, service: Posts, secret: str = SECRET) -> Carrier:
    file = tmp_path / "secret"
    file.write_text(secret + "\n")
    file.chmod(0o600)
    url = {"webhook_url": service.url, "danger_plaintext_sink": "a test"}
    return made(trail, kind="webhook", secret_file=str(file), **url)


def test_a_webhook_gets_a_signed_post(trail, tmp_path, service):
    change(trail, 2)
    webhook(trail, tmp_path, service).carry()
    [(headers, body)] = service.posted
    signed = headers["bartizan-timestamp"].encode() + b"." + body
    assert headers["bartizan-signature"] == f"v1={hmac.digest(SECRET.encode(), signed, 'sha256').hex()}"
    assert abs(int(headers["bartizan-timestamp"]) - time.time()) < 30
    assert [each["seq"] for each in json.loads(body)["records"]] == all_of(trail)


@pytest.mark.parametrize("status", [302, 400, 500])
def test_what_is_not_2xx_is_not_delivered(trail, tmp_path, service, status):
    change(trail)
    carrying = webhook(trail, tmp_path, service)
    service.status = status
    with pytest.raises(NotDelivered, match=str(status)):
        carrying.carry()
    service.status = 200
    carrying.carry()
    assert len(service.posted) == 1


def test_a_service_that_is_not_there_is_not_delivered_to(trail, tmp_path, service):
    change(trail)
    service.url = "http://127.0.0.1:9/audit"
    with pytest.raises(NotDelivered, match="ConnectError"):
        webhook(trail, tmp_path, service).carry()


def test_a_short_secret_is_refused(trail, tmp_path, service):
    with pytest.raises(ConfigurationError, match="shorter than 32"):
        webhook(trail, tmp_path, service, "short")


def test_opentelemetry_gets_log_records(trail, tmp_path, service):
    token = tmp_path / "headers"
    token.write_text("Authorization: Bearer abc\n")
    token.chmod(0o600)
    change(trail)
    url = {"logs_url": service.url, "danger_plaintext_sink": "a test"}
    made(trail, kind="otlp", headers_file=str(token), **url).carry()
    [(headers, body)] = service.posted
    assert headers["authorization"] == "Bearer abc"
    [resource] = json.loads(body)["resourceLogs"]
    assert resource["resource"]["attributes"] == [{"key": "service.name", "value": {"stringValue": "bartizan"}}]
    found = resource["scopeLogs"][0]["logRecords"]
    assert [each["eventName"] for each in found] == ["identity.set", "audit.checkpoint", "identity.set"]
    assert {"key": "bartizan.seq", "value": {"intValue": "1"}} in found[0]["attributes"]
    assert int(found[0]["timeUnixNano"]) > 1_700_000_000 * 10**9


def test_opentelemetry_is_told_how_bad_it_is():
    record = {"at": "2026-11-21T12:00:00.000+00:00", "what": "denied", "detail": {"severity": "warning"}}
    [found] = otlp([record])["resourceLogs"][0]["scopeLogs"][0]["logRecords"]
    assert (found["severityNumber"], found["severityText"]) == (13, "WARN")


# ---- settings -----------------------------------------------------------------------------------


def test_paths_of_sinks_are_relative_to_the_configuration(tmp_path):
    file = tmp_path / "bartizan.toml"
    file.write_text('[audit.sinks.copy]\nkind = "file"\nfile = "copy.jsonl"\n')
    sink = load_settings(file).audit.sinks["copy"]
    assert getattr(sink, "file", None) == tmp_path / "copy.jsonl"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('kind = "webhook"\nwebhook_url = "http://a"\nsecret_file = "s"', "danger_plaintext_sink"),
        ('kind = "syslog"\naddress = "siem"', "HOST:PORT"),
        ('kind = "syslog"\naddress = "siem:6514"\nkey_file = "k"', "go together"),
        ('kind = "mqtt"\naddress = "board:8883"\ntopic = "audit/#"', "no Topic Name"),
        ('kind = "mqtt"\naddress = "board:8883"\ntopic = "audit"\nuser_name = "a"', "go together"),
        ('kind = "pigeon"', "pigeon"),
    ],
)
def test_a_sink_that_cannot_work_is_refused_with_its_line(tmp_path, text, says):
    file = tmp_path / "bartizan.toml"
    file.write_text(f"[audit.sinks.one]\n{text}\n")
    with pytest.raises(ConfigurationError, match=says) as refused:
        load_settings(file)
    assert "audit.sinks.one" in str(refused.value)
