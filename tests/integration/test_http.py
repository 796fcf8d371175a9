"""Metrics, health and control: what monitoring reads, and what only the owner's socket can do."""

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families

from bartizan.broker.addresses import bound_socket
from tests.integration.conftest import run


@pytest.fixture
def running(up):
    return up("--set", "http.bind=127.0.0.1:0")


@pytest.fixture
def monitoring(running) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=f"http://{running.summary['metrics']}") as client:
        yield client


@pytest.fixture
def control(running) -> Iterator[httpx2.Client]:
    transport = httpx2.HTTPTransport(uds=str(running.data / "control.sock"))
    with httpx2.Client(transport=transport, base_url="http://control") as client:
        yield client


def test_metrics_are_in_prometheus_form_under_the_names_dashboards_know(monitoring):
    answer = monitoring.get("/metrics")
    families = {family.name: family for family in text_string_to_metric_families(answer.text)}
    assert {
        "broker_clients_connected",
        "broker_bytes_received",
        "broker_messages_sent",
        "broker_publish_messages_dropped",
        "broker_retained_messages_count",
        "broker_subscriptions_count",
        "broker_load_messages_received_1min",
        "broker_uptime",
    } <= families.keys()
    assert families["bartizan_dangers"].samples[0].value == 0
    assert families["bartizan_identities"].samples[0].value == 3
    expiries = families["bartizan_certificate_expiry_timestamp_seconds"].samples
    assert {(sample.labels["certificate"], sample.labels["listener"]) for sample in expiries} == {
        ("ca", ""),
        ("server", "mqtts"),
        ("server", "wss"),
    }


def test_no_metric_has_a_label_that_a_client_chose(monitoring, running):
    labels = {
        label
        for family in text_string_to_metric_families(monitoring.get("/metrics").text)
        for sample in family.samples
        for label in sample.labels
    }
    of_ours = {
        "certificate",
        "listener",
        "version",
        "digest",
        "limit",
        "url",
        "within_days",
        "severity",
        "log",
        "of",
        "le",
    }
    assert labels <= of_ours


@pytest.mark.parametrize("bind", ["127.0.0.1:0", "[::1]:0"])
async def test_the_end_of_an_answer_is_not_held_back(bind):
    is_sent_at_once = asyncio.get_running_loop().create_future()

    def look(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        opened = writer.get_extra_info("socket")
        is_sent_at_once.set_result(opened.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()

    listening = bound_socket(bind)
    assert listening is not None
    async with await asyncio.start_server(look, sock=listening):
        _, writer = await asyncio.open_connection(*listening.getsockname()[:2])
        writer.close()
        assert await asyncio.wait_for(is_sent_at_once, 10)


def test_health_answers_while_it_runs(monitoring):
    assert monitoring.get("/health/live").status_code == 200
    assert monitoring.get("/health/ready").text == "ready\n"


@pytest.mark.parametrize("path", ["/v1/clients", "/v1/status", "/v1/reload", "/v1/clients/x/disconnect"])
def test_control_is_not_on_the_tcp_port(monitoring, path):
    assert monitoring.get(path).status_code == 404
    assert monitoring.post(path).status_code == 404


def test_control_disconnects_by_client_identifier(control):
    assert control.post("/v1/clients/nobody/disconnect").status_code == 404
    assert control.post("/v1/clients/nobody/disconnect", params={"reason": "0x00"}).status_code == 400
    assert control.post("/v1/clients/nobody/disconnect", params={"reason": "soon"}).status_code == 400


def test_control_reloads_and_says_what_is_wrong(control, running):
    assert control.post("/v1/reload").json()["applied"] == ["policy", "certificates"]
    (running.data / "policy.toml").write_text("[topics.\n")
    refused = control.post("/v1/reload")
    assert refused.status_code == 422
    assert "policy.toml:1:" in refused.json()["refused"][0]


def test_certificates_that_fit_nothing_are_refused_and_the_old_ones_stay(control, running):
    key = running.data / "pki" / "server.key"
    certificate = running.data / "pki" / "server.crt"
    configuration = running.data / "bartizan.toml"
    spare = Path(running.data / "spare.key")
    spare.write_bytes((running.data / "demo" / "press-01" / "press-01.key").read_bytes())
    named = f'certificate_file = "{certificate}"\nkey_file = "{spare}"\n'
    text = configuration.read_text()
    configuration.write_text(text.replace('protocol = "mqtt"\n', f'protocol = "mqtt"\n{named}', 1))
    refused = control.post("/v1/reload").json()
    assert "listener mqtts" in refused["refused"][0]
    assert key.read_text() not in str(refused)
    assert running.wait_for("certificates_refused", listener="mqtts")


def test_status_tells_what_listens_and_which_policy_holds(control, running):
    status = control.get("/v1/status").json()
    assert status["state"] == "ready"
    assert [listener["name"] for listener in status["listeners"]] == ["mqtts", "wss"]
    assert len(status["policy"]["digest"]) == 64


def test_a_data_directory_with_a_long_path_has_a_control_socket_all_the_same(up, tmp_path):
    deep = tmp_path / ("long-" * 20) / "data"
    deep.parent.mkdir()
    up(data=deep)
    assert run("clients", "--data", deep, "--json").stdout == "[]\n"
