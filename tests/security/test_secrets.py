"""No secret of a whole run is in anything that leaves it: logs, answers, streams, sinks, alerts, telemetry, traces, the record."""

import json
import re
import secrets
import signal
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pyotp
import pytest

from bartizan.api.caller import COOKIE
from bartizan.model.operator import OperatorRole
from bench.ports import free_ports
from tests.conformance.packets import v5
from tests.conformance.received import Connack, Puback
from tests.conformance.wire import Wire
from tests.integration.oidc import OpenIdProvider
from tests.posts import Posts, taking_posts
from tests.security.party import HOST, eventually, plain, tls_context
from tests.security.process import COMMAND, Process, running

WITHIN_S = 30.0
NAMES = {
    "name": ("dash-09", "olga", "dashboard", "line-9"),
    "id": ("c1", "e1"),
    "number": ("1",),
    "client_id": ("dash-09",),
}
"""What stands for the variables of paths that are read."""

NOT_READ = ("/events", "/session/oidc", "/session/oidc/callback")


@dataclass
class Run:
    """A broker, everything secret that was made in it, and everything that it said."""

    broker: Process
    port: int
    posts: Posts
    stack: ExitStack
    secret: dict[str, bytes] = field(default_factory=dict)
    said: list[bytes] = field(default_factory=list)

    def hide(self, what: str, value: str | bytes) -> Any:
        """Something that nobody may be told; the same."""
        self.secret[f"{what} {len(self.secret)}"] = value if isinstance(value, bytes) else value.encode()
        return value

    def client(self, **headers: str) -> httpx2.Client:
        trust = ssl.create_default_context(cafile=str(self.broker.data / "pki/ca.crt"))
        made = httpx2.Client(
            base_url=f"https://localhost:{self.port}/api/v1", verify=trust, timeout=30, trust_env=False, headers=headers
        )
        return self.stack.enter_context(made)

    def at_socket(self) -> httpx2.Client:
        transport = httpx2.HTTPTransport(uds=str(self.broker.data / "control.sock"))
        return self.stack.enter_context(
            httpx2.Client(transport=transport, base_url="http://control/api/v1", timeout=30)
        )

    def verb(self, *words: str | Path) -> str:
        done = subprocess.run(
            [*COMMAND, *map(str, words), "--data", str(self.broker.data)], capture_output=True, text=True, check=True
        )
        return done.stdout

    def heard(self, answer: httpx2.Response) -> httpx2.Response:
        """An answer in which nothing is shown once."""
        self.said.append(f"{answer.headers}\n{answer.text}".encode())
        return answer


def kept(directory: Path, name: str, text: str) -> Path:
    file = directory / name
    file.write_text(text)
    file.chmod(0o600)
    return file


@pytest.fixture
def provider(tmp_path: Path) -> Iterator[tuple[OpenIdProvider, int]]:
    (port,) = free_ports(1)
    directory = tmp_path / "provider"
    directory.mkdir()
    back = f"https://localhost:{port}/api/v1/session/oidc/callback"
    with OpenIdProvider(directory, 60, (), (back,)) as found:
        yield found, port


@pytest.fixture
def run(tmp_path: Path, provider: tuple[OpenIdProvider, int]) -> Iterator[Run]:
    people, port = provider
    hook, header = secrets.token_hex(32), f"otlp-{secrets.token_hex(16)}"
    key = kept(tmp_path, "hook", hook)
    headers = kept(tmp_path, "headers", f"Authorization: Bearer {header}\n")
    with taking_posts("/") as posts, ExitStack() as stack:
        url = posts.url.rstrip("/")
        secret, danger = f"secret_file='{key}'", "'a test'"
        collector = f"interval_s=1, headers_file='{headers}'"
        sink = f"webhook_url='{url}/a', {secret}, danger_plaintext_sink={danger}"
        logs = f"logs_url='{url}/l', headers_file='{headers}', danger_plaintext_sink={danger}"
        issuer = f"issuer='{people.issuer}', client_id='console', ca_file='{people.ca_file}'"
        person = f"{issuer}, client_secret_file='{people.secret_file}', operator_claim='preferred_username'"
        settings = (
            f"audit.sinks.hook={{kind='webhook', {sink}}}",
            f"audit.sinks.logs={{kind='otlp', {logs}}}",
            f"audit.sinks.copy={{kind='file', file='{tmp_path}/copy.jsonl'}}",
            "audit.events=connections",
            f"traces={{traces_url='{url}/t', danger_plaintext_traces={danger}, {collector}}}",
            f"metrics.otlp={{metrics_url='{url}/m', danger_plaintext_metrics={danger}, {collector}}}",
            f"alerts.soc={{kind='webhook', alert_url='{url}/f', {secret}, danger_plaintext_alert={danger}}}",
            "playbooks.tell={action='alert', to='soc', severity='low'}",
            'detect.decoy_identities=["backup-admin"]',
            f"api.oidc={{{person}, scopes=['openid', 'profile']}}",
            "api.requests_per_s=10000",
            "log.level=debug",
        )
        binds = ("listeners.mqtts.bind=127.0.0.1:0", "listeners.wss.bind=127.0.0.1:0", f"api.bind=127.0.0.1:{port}")
        with running(tmp_path / "data", *settings, binds=binds) as broker:
            made = Run(broker, port, posts, stack)
            made.hide("webhook", hook)
            made.hide("collector", header)
            made.hide("provider", people.secret)
            made.hide("administrator", str(broker.summary["administrator_secret"]))
            yield made


def operator(run: Run) -> httpx2.Client:
    """An operator with all that one can have; a client that is logged in with two factors."""
    root = run.at_socket()
    first = run.hide("password", root.post("/operators", json={"operator": "olga"}).json()["password"])
    login = run.client().post("/session", json={"operator": "olga", "password": first, "keep": "token"}).json()
    own = run.client(authorization=f"Bearer {run.hide('login', login['token'])}")
    chosen = run.hide("password", secrets.token_urlsafe(18))
    changed = run.heard(own.put("/session/password", json={"password": first, "new_password": chosen}))
    assert changed.status_code == 204, changed.text
    login = run.client().post("/session", json={"operator": "olga", "password": chosen, "keep": "token"}).json()
    own = run.client(authorization=f"Bearer {run.hide('login', login['token'])}")
    codes = pyotp.parse_uri(own.post("/session/totp", json={"password": chosen}).json()["uri"])
    assert isinstance(codes, pyotp.TOTP)
    run.hide("one-time codes", codes.secret)
    recovery = own.put("/session/totp", json={"code": codes.now()}).json()["recovery_codes"]
    for code in recovery:
        run.hide("recovery code", code)
    assert run.heard(root.patch("/operators/olga", json={"roles": [role.value for role in OperatorRole]})).is_success
    page = run.client()
    both = {"operator": "olga", "password": chosen, "code": recovery[0]}
    cookie = page.post("/session", json=both | {"keep": "cookie"}, headers={"sec-fetch-site": "same-origin"})
    assert cookie.status_code == 201, cookie.text
    run.hide("cookie", page.cookies[COOKIE])
    token = root.post("/operators/olga/tokens", json={"scopes": ["look"]}).json()["token"]
    run.heard(run.client(authorization=f"Bearer {run.hide('token', token)}").get("/status"))
    page.headers["sec-fetch-site"] = "same-origin"
    return page


def stranger(run: Run) -> None:
    """Somebody who guesses passwords, codes and tokens."""
    guess = run.hide("guess", secrets.token_urlsafe(18))
    for wrong in ({"password": guess}, {"password": guess, "code": "000000"}, {"password": guess, "code": guess}):
        assert run.heard(run.client().post("/session", json={"operator": "olga", **wrong})).status_code in {401, 429}
    for shown in (f"bzs_{guess}", f"bzt_{guess}", guess):
        assert run.heard(run.client(authorization=f"Bearer {shown}").get("/identities")).status_code == 401


def by_provider(run: Run, people: OpenIdProvider) -> None:
    """The same operator comes by the provider: the broker shows it its client secret."""
    people.before_the_browser("sub-olga", claims={"preferred_username": "olga"})
    browser = run.client()
    trust = ssl.create_default_context(cafile=str(run.broker.data / "pki/ca.crt"))
    trust.load_verify_locations(people.ca_file)
    with httpx2.Client(verify=trust, timeout=30, trust_env=False) as there:
        place = str(browser.base_url.join("/api/v1/session/oidc"))
        for _ in range(10):
            answer = there.get(place)
            if answer.status_code not in {302, 303}:
                break
            place = str(answer.request.url.join(answer.headers["location"]))
        assert answer.status_code == 200, answer.text
        run.hide("cookie", there.cookies[COOKIE])
    run.hide("code", place.partition("code=")[2].partition("&")[0])


@contextmanager
def listening(client: httpx2.Client) -> Iterator[list[str]]:
    """What is told as it happens."""
    lines: list[str] = []
    begun = threading.Event()

    def read() -> None:
        try:
            with client.stream("GET", "/events", params={"level": "debug"}, timeout=WITHIN_S) as answer:
                begun.set()
                lines.extend(answer.iter_lines())
        except httpx2.HTTPError:
            # The broker has ended.
            return

    reading = threading.Thread(target=read, daemon=True)
    reading.start()
    assert begun.wait(WITHIN_S)
    yield lines


def clients(run: Run, directory: Path) -> None:
    """Good and bad passwords by MQTT, a payload, and a trace of it all."""
    enrolled = run.verb("enrol", "dash-09", "--role", "dashboard", "--password", "--json", "--out", directory / "dash")
    password = run.hide("client's password", json.loads(enrolled)["password"]).encode()
    guess = run.hide("client's guess", secrets.token_bytes(16).hex().encode())
    payload = run.hide("payload", secrets.token_bytes(16).hex().encode())
    file = directory / "dash.pcapng"
    words = ["trace", "dash-09", "--for", "60s", "--pcapng", str(file), "--data", str(run.broker.data)]
    tracing = subprocess.Popen([*COMMAND, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert tracing.stderr is not None
        assert "tracing" in tracing.stderr.readline()
        for name, shown in (("dash-09", guess), ("dash-09", password), ("backup-admin", guess)):
            context = tls_context(str(run.broker.data / "pki/ca.crt"))
            wire = Wire(context.wrap_socket(plain(run.broker.port("mqtts")), server_hostname=HOST))
            wire.send(v5.connect(name, username=name, password=shown))
            assert (wire.expect(Connack).reason == 0) is (shown == password)
            if shown == password:
                wire.send(v5.publish("forbidden", payload, qos=1, pid=1))
                wire.expect(Puback)
            wire.drop()
        assert tracing.stdout is not None
        shown_packets: list[str] = []
        # Of the wrong password, and of the right one.
        while sum(" closed" in line for line in shown_packets) < 2:
            shown_packets.append(tracing.stdout.readline())
            assert shown_packets[-1], shown_packets
    finally:
        tracing.send_signal(signal.SIGINT)
        out, err = tracing.communicate(timeout=WITHIN_S)
    assert any("PUBLISH" in line for line in shown_packets)
    run.said += ["".join(shown_packets).encode(), out.encode(), err.encode(), file.read_bytes()]


def everything_read(run: Run, page: httpx2.Client) -> int:
    """Reads whatever the API describes as to be read; how many answers had something to say."""
    described = json.loads((Path(__file__).parents[2] / "docs/reference/openapi.json").read_text())
    good = 0
    for path, methods in described["paths"].items():
        if "get" not in methods or path in NOT_READ:
            continue
        (variable,) = re.findall(r"\{(\w+)\}", path) or [""]
        for value in NAMES.get(variable, ("1",)):
            params = {"filter": "#", "action": "disconnect", "match": "*", "name": "dash-09"}
            good += run.heard(page.get(re.sub(r"\{\w+\}", value, path), params=params)).is_success
    for form in ("json", "csv", "ocsf", "cef"):
        good += run.heard(page.get("/audit/export", params={"format": form})).is_success
    return good


def bodies(run: Run) -> bytes:
    """What was posted to sinks, alerts and collectors."""
    return b"\n".join(body for _, body in run.posts.posted)


def test_no_secret_of_a_run_is_in_anything_that_leaves_it(run, provider, tmp_path):
    page = operator(run)
    with listening(page) as told:
        by_provider(run, provider[0])
        stranger(run)
        clients(run, tmp_path)
        run.broker.wait_for("finding", within_s=WITHIN_S, detector="decoy")
        kinds = (b'"records"', b"resourceLogs", b"resourceSpans", b"resourceMetrics", b'"finding"')
        eventually(lambda: all(kind in bodies(run) for kind in kinds), within_s=WITHIN_S)
        assert everything_read(run, page) > 40
        for words in (("search",), ("search", "--json"), ("tail", "-n", "9999"), ("verify",)):
            run.said.append(run.verb("audit", *words).encode())
        eventually(lambda: any("operator_denied" in line for line in told), within_s=WITHIN_S)
        assert run.broker.end() == 0
    run.said += [
        "\n".join(told).encode(),
        bodies(run),
        run.broker.log().encode(),
        (tmp_path / "copy.jsonl").read_bytes(),
        *(file.read_bytes() for file in run.broker.data.glob("audit/**/*") if file.is_file() and file.suffix != ".key"),
    ]
    for key in run.broker.data.rglob("*.key"):
        run.hide("key", key.read_bytes().splitlines()[1])
    said = b"\n".join(run.said)
    for kind in ("operator_logged_in", "operator_refused", "operator_denied", "operator.token-add", "refused"):
        assert kind.encode() in said, "the test saw what it is about"
    assert len(run.secret) > 25
    found = {what for what, value in run.secret.items() if value in said or value.hex().encode() in said}
    assert found == set()
    assert b"$argon2" not in said
    assert b"PRIVATE KEY" not in said
