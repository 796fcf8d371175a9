"""The service that the reference shows, asked by a broker about real clients, by HTTPS with signatures both ways."""

import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme

from bartizan.testing import Broker
from tests.docs.markdown import ROOT
from tests.integration.token_client import TokenClient

SERVICE = ROOT / "examples/webhook/judge.py"
WRONG, NOT_AUTHORIZED, UNAVAILABLE = 0x86, 0x87, 0x88


@dataclass(frozen=True)
class Service:
    """Where it listens, and what it takes to ask it."""

    url: str
    ca_file: Path
    secret_file: Path


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    directory = tmp_path_factory.mktemp("service")
    ca = trustme.CA()
    issued = ca.issue_cert("127.0.0.1")
    ca.cert_pem.write_to_path(directory / "ca.pem")
    issued.cert_chain_pems[0].write_to_path(directory / "server.pem")
    issued.private_key_pem.write_to_path(directory / "server.key")
    secret_file = directory / "secret"
    secret_file.write_text(secrets.token_hex(32) + "\n")
    secret_file.chmod(0o600)
    command = [sys.executable, SERVICE, "0", secret_file, directory / "server.pem", directory / "server.key"]
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        assert process.stdout is not None
        port = process.stdout.readline().split()[-1]
        yield Service(f"https://127.0.0.1:{port}/judge", directory / "ca.pem", secret_file)
    finally:
        process.terminate()
        process.wait(30)
        assert process.stdout is not None
        process.stdout.close()


@contextmanager
def plant(service: Service, more: str = "", *names: str, url: str = "") -> Iterator[Broker]:
    table = (
        f'kind = "webhook", webhook_url = "{url or service.url}", secret_file = "{service.secret_file}", '
        f'ca_file = "{service.ca_file}", signed_answers = true, remembered_s = 0{more}'
    )
    listed = ", ".join(f'"{name}"' for name in names or ("accounts",))
    with Broker(
        settings=[f"listeners.mqtt.authentication=[{listed}]", f"authenticators.accounts={{ {table} }}"]
    ) as broker:
        yield broker


@pytest.fixture
def clients() -> Iterator[Callable[..., TokenClient]]:
    with ExitStack() as stack:

        def make(broker: Broker, client_id: str = "alice", version: str = "5") -> TokenClient:
            client = TokenClient(broker.port, broker.ca_file, client_id, version)
            stack.callback(client.close)
            return client

        yield make


@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_a_client_is_let_in_by_the_service(service, clients, version):
    with plant(service, ', identities = "answer", roles_allowed = ["dashboard"]') as broker:
        assert clients(broker, "alice-1", version).open("wonderland", user_name="alice") == 0
        assert clients(broker, "alice", version).open("wrong", user_name="alice") == WRONG
        assert clients(broker, "nobody", version).open("wonderland", user_name="nobody") == WRONG
        assert clients(broker, "bob", version).open("wonderland", user_name="alice") == NOT_AUTHORIZED


def test_certificate_and_password_are_asked_for_together(service, clients):
    with plant(service, "", "certificate + accounts") as broker:
        bundle = broker.enrol("alice", "dashboard")
        assert clients(broker).open("wonderland", user_name="alice") == WRONG
        client = clients(broker)
        client.certificate(str(bundle.certificate_file), str(bundle.key_file))
        assert client.open("wonderland", user_name="alice") == 0


def test_another_secret_is_heard_by_neither_side(service, clients, tmp_path):
    other = tmp_path / "secret"
    other.write_text(secrets.token_hex(32))
    other.chmod(0o600)
    mistaken = Service(service.url, service.ca_file, other)
    with plant(mistaken, ', identities = "answer"') as broker:
        assert clients(broker).open("wonderland", user_name="alice") == UNAVAILABLE


def test_a_service_that_is_not_there_is_0x88(service, clients):
    with plant(service, ', identities = "answer"', url="https://127.0.0.1:1/") as broker:
        assert clients(broker).open("wonderland", user_name="alice") == UNAVAILABLE


def test_the_reference_shows_this_service() -> None:
    page = (ROOT / "docs/reference/webhook.md").read_text(encoding="utf-8")
    code = SERVICE.read_text(encoding="utf-8")
    shown = code[code.index("class Judge") : code.index("if __name__")].strip()
    assert shown in page
    assert len([line for line in shown.splitlines() if line.strip()]) <= 30
