"""`bartizan client` and `bartizan broker`: at the control socket without a login, and elsewhere, by one API."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bartizan.cli.denials import looking, new_ones
from tests.integration.api import Api, serving
from tests.integration.recorder import Place, Proof, Recorder
from tests.integration.test_remote import Desk

ADMINISTRATIVE_ACTION = 0x98
SERVER_SHUTTING_DOWN = 0x8B


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    with serving(None, "api.requests_per_s=10000") as running:
        # As a first run leaves it: where the command line looks for a broker.
        running.broker._running.data.first_run_mark.touch()
        yield running


@pytest.fixture
def desk(api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Desk:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return Desk(api.url.removesuffix("/api/v1"), tmp_path, capsys, api.broker.ca_file)


def here(api: Api, desk: Desk, *words: str, code: int = 0) -> str:
    return desk.say(*words, "--data", str(api.broker._running.data.root), code=code)


def press(api: Api, name: str) -> Recorder:
    bundle = api.broker.enrol(name, role="press", site="chicago")
    assert bundle.certificate_file is not None
    assert bundle.key_file is not None
    proof = Proof(name, certificate_file=Path(bundle.certificate_file), key_file=Path(bundle.key_file))
    return Recorder(Place(api.broker.port, ca_file=api.broker.ca_file), name, proof=proof).open()


def test_who_is_connected_is_listed_shown_and_disconnected_here_and_elsewhere(api, desk):
    operator, maker = api.with_codes("operator")
    desk.login(operator, maker)
    ways: tuple[Callable[..., str], ...] = (partial(here, api, desk), desk.there)
    with closing(press(api, "press-a1")) as first, closing(press(api, "press-a2")) as second:
        for ask in ways:
            listed = json.loads(ask("client", "list", "--match", "press-a*", "--sort", "-client_id", "--json"))
            assert [each["client_id"] for each in listed] == ["press-a2", "press-a1"]
            assert "2 connected" in ask("client", "list", "--role", "press")
            rates = {each["client_id"]: each for each in json.loads(ask("clients", "--json"))}
            assert (rates["press-a1"]["messages_in_per_s"], rates["press-a1"]["version"]) == (0.0, "5.0")
            assert "2 connected" in ask("clients")
            assert "0 connected" in ask("client", "list", "--address", "192.0.2.1")
            shown: dict[str, Any] = json.loads(ask("client", "show", "press-a1", "--json"))
            assert (shown["identity"], shown["roles"], shown["method"]) == ("press-a1", ["press"], "certificate")
            assert "press-a1" in ask("client", "show", "press-a1")
        assert here(api, desk, "client", "disconnect", "press-a1") == "press-a1: disconnected\n"
        assert first.wait_end() == ADMINISTRATIVE_ACTION
        desk.there("client", "disconnect", "press-a2", "--reason", "0x8B")
        assert second.wait_end() == SERVER_SHUTTING_DOWN


def test_what_is_kept_for_clients_is_looked_at_here_and_elsewhere(api, desk):
    operator, maker = api.with_codes("security")
    desk.login(operator, maker)
    looked_at(partial(here, api, desk), api, "press-b1")
    looked_at(desk.there, api, "press-b2")


def looked_at(ask: Callable[..., str], api: Api, name: str) -> None:
    topic, commands = f"data/chicago/hall/{name}/temperature", f"commands/chicago/+/{name}/#"
    with closing(press(api, name)) as client:
        client.subscribe((commands, 1))
        client.publish(topic, "71.5", retain=True)
        shown = json.loads(ask("client", "show", name, "--json"))
        assert shown["rates"]["messages_in_per_s"] == 0
        assert [one["filter"] for one in shown["session"]["subscriptions"]] == [commands]
        assert "1 Subscriptions" in ask("client", "show", name)
        assert json.loads(ask("session", "show", name, "--json"))["is_connected"] is True
        told = ask("subscription", "list", "--topic", f"commands/chicago/hall/{name}/stop", "--json")
        assert [(one["client_id"], one["qos"]) for one in json.loads(told)] == [(name, 1)]
        assert "1 Subscriptions" in ask("subscription", "list", "--client", name)
        assert json.loads(ask("retained", "list", "data/#", "--json"))[0]["topic"] == topic
        assert "71.5" in ask("retained", "show", topic)
        assert "1 Retained Messages would be removed" in ask("retained", "clear", "data/#", code=2)
        assert json.loads(ask("topic", "tree", "data", "--json"))["topics"]["data/chicago"]["retained"] == 1
        assert "1 Retained Messages that data/# matches were removed" in ask("retained", "clear", "data/#", "--yes")
        assert "disconnected" in ask("session", "discard", name)
    ask("trace", name, "--for", "1s")


def test_what_the_policy_refused_is_listed_and_followed_here_and_elsewhere(api, desk):
    operator, maker = api.with_codes("viewer")
    desk.login(operator, maker)
    with closing(press(api, "press-c1")) as client:
        assert client.publish("data/chicago/hall/press-c2/temperature", "1") == 0x87
        ways: tuple[Callable[..., str], ...] = (partial(here, api, desk), desk.there)
        told = [json.loads(ask("denials", "--since", "1h", "--identity", "press-c1", "--json")) for ask in ways]
        assert told[0] == told[1]
        assert [(one["topic"], one["count"]) for one in told[0]] == [("data/chicago/hall/press-c2/temperature", 1)]
        assert "no_permit" in desk.there("denials")
        assert desk.there("denials", "--identity", "nobody", "--json") == "[]\n"
        with looking(desk.home, desk.server, "press-c1") as look:
            found = new_ones(look, timedelta(hours=1))
            assert next(found).topic == "data/chicago/hall/press-c2/temperature"
            client.publish("data/chicago/hall/press-c2/temperature", "1")
            assert next(found).count == 2
            client.publish("elsewhere", "1")
            assert next(found).topic == "elsewhere"


def test_what_happens_is_shown_as_it_happens_here_and_elsewhere(api, desk):
    operator, maker = api.with_codes("security")
    desk.login(operator, maker)
    ways: tuple[Callable[..., str], ...] = (partial(here, api, desk), desk.there)
    for number, ask in enumerate(ways):
        done = threading.Event()

        def act(name: str, until: threading.Event) -> None:
            # It begins before somebody reads.
            while not until.wait(0.1):
                api.at_socket().post("/identities", json={"identity": name})

        acting = threading.Thread(target=act, args=(f"seen-{number}", done))
        acting.start()
        try:
            line = ask("events", "--kind", "operator_*", "--count", "1", "--json")
            assert json.loads(line)["event"] == "operator_acted"
            assert "POST /api/v1/identities" in ask("events", "--kind", "operator_acted", "--count", "2")
        finally:
            done.set()
            acting.join()
    assert desk.fails("events", "--count", "0", "--server", desk.server, code=2)


def test_traces_under_way_are_listed_and_ended_here_and_elsewhere(api, desk):
    operator, maker = api.with_codes("operator")
    desk.login(operator, maker)
    ways: tuple[Callable[..., str], ...] = (partial(here, api, desk), desk.there)
    for ask in ways:
        with api.at_socket().stream("POST", "/traces", json={"client_id": "press-d1"}) as answer:
            lines = answer.iter_lines()
            number = json.loads(next(lines))["trace"]
            assert [each["client_id"] for each in json.loads(ask("broker", "traces", "--json"))] == ["press-d1"]
            assert "press-d1" in ask("broker", "traces")
            assert "ended" in ask("broker", "traces", "--end", str(number))
            assert [json.loads(line) for line in lines if line] == [{"ended": "stopped"}]
    assert "no trace" in desk.fails("broker", "traces", "--end", "99", "--server", desk.server)


def test_what_messages_say_is_not_shown_to_whoever_may_only_look(api, desk):
    operator, maker = api.with_codes("operator")
    desk.login(operator, maker)
    assert "(payloads)" in desk.fails("trace", "press-b1", "--payloads", "--server", desk.server)
    assert "(payloads)" in desk.fails("retained", "show", "a", "--server", desk.server)
    assert "(clear)" in desk.fails("retained", "clear", "a", "--yes", "--server", desk.server)


def test_what_is_not_there_or_not_so_is_said_in_a_line(api, desk):
    data = str(api.broker._running.data.root)
    assert "no client 'nobody' is connected" in desk.fails("client", "show", "nobody", "--data", data)
    assert "sort" in desk.fails("client", "list", "--sort", "colour", "--data", data, code=2)
    assert "sends no 200" in desk.fails("client", "disconnect", "x", "--reason", "200", "--data", data, code=2)
    assert "no broker was set up here" in desk.fails("client", "list", "--data", str(desk.home), code=2)


def test_a_broker_says_what_it_is(api, desk):
    operator, maker = api.with_codes("security")
    desk.login(operator, maker)
    ways: tuple[Callable[..., str], ...] = (partial(here, api, desk), desk.there)
    for ask in ways:
        status = json.loads(ask("broker", "status", "--json"))
        assert (status["state"], status["policy"]) == ("ready", api.broker._running.broker.in_force.policy.digest)
        assert "ready" in ask("broker", "status")
        assert "mqtt" in ask("broker", "listeners")
        assert json.loads(ask("broker", "listeners", "--json"))[0]["tls"] is True
        assert json.loads(ask("broker", "config"))["api"]["requests_per_s"] == 10_000
        assert "bartizan_clients_connected" in ask("broker", "metrics")


def test_who_may_not_see_the_settings_does_not(api, desk):
    operator, maker = api.with_codes("viewer")
    desk.login(operator, maker)
    assert "do not permit" in desk.fails("broker", "config", "--server", desk.server)
