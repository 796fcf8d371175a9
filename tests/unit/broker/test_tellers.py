"""Who is told is told by mail, syslog and MQTT: real servers on loopback, and what becomes of those that fail."""

import email
import email.policy
import json
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.message import EmailMessage  # noqa: TC003
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult
from cryptography import x509

from bartizan.authn.base import ProviderUnavailable
from bartizan.authn.fetch import NotReached
from bartizan.broker.tellers import Teller, teller_of
from bartizan.config.alerts import ALERT_KINDS
from bartizan.errors import ConfigurationError
from bartizan.model.finding import About
from bench.ports import free_ports
from tests.authority import Issuer
from tests.unit.audit.test_sinks import collecting
from tests.unit.audit.test_sinks import until as soon
from tests.unit.broker.fake import FakeEngine
from tests.unit.respond.test_playbooks import kept

PASSWORD = "correct horse"


class Inbox:
    """Keeps what is delivered, unless it is told to refuse."""

    def __init__(self) -> None:
        self.mails: list[tuple[str, list[str], EmailMessage]] = []
        self.answer = "250 OK"
        self.refused: set[str] = set()

    async def handle_RCPT(  # noqa: N802  the name it has there
        self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any
    ) -> str:
        if address in self.refused:
            return "550 nobody of that name"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        if self.answer.startswith("2"):
            mail: Any = email.message_from_bytes(envelope.content, policy=email.policy.default)
            self.mails.append((envelope.mail_from, envelope.rcpt_tos, mail))
        return self.answer


def may_log_in(_server: Any, _session: Any, _envelope: Any, _mechanism: str, shown: Any) -> AuthResult:
    is_right = (shown.login, shown.password) == (b"bartizan", PASSWORD.encode())
    return AuthResult(success=is_right, handled=is_right)


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()


@contextmanager
def serving(inbox: Inbox, directory: Path, *, tls: str = "starttls", **more: Any) -> Iterator[tuple[int, Path]]:
    """A mail server for `localhost`, and the CA of its certificate."""
    authority = Issuer.root()
    server = authority.issue(
        "localhost", sans=[x509.DNSName("localhost")], usages=[x509.ExtendedKeyUsageOID.SERVER_AUTH]
    )
    ca = directory / "mail-ca.pem"
    ca.write_bytes(authority.pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*server.write(directory))
    (port,) = free_ports(1)
    words: dict[str, Any] = {"tls_context": context, "require_starttls": True} if tls == "starttls" else {}

    class Server(Controller):
        # pyrefly: ignore[missing-override-decorator]  Python 3.11 has none
        def factory(self) -> SMTP:
            return SMTP(inbox, **words, **more)

    implicit: dict[str, Any] = {"ssl_context": context} if tls == "implicit" else {}
    controller = Server(inbox, hostname="127.0.0.1", port=port, **implicit)
    controller.start()
    try:
        yield port, ca
    finally:
        controller.stop()


def teller(name: str = "people", **settings: Any) -> Teller:
    alert = ALERT_KINDS[settings["kind"]].model_validate(settings)
    return teller_of(name, alert, "plant-1", settings.get("engine") or FakeEngine())


def mailer(port: int, ca: Path, **more: Any) -> Teller:
    words: dict[str, Any] = {
        "kind": "email",
        "address": f"localhost:{port}",
        "ca_file": ca,
        "sender": "bartizan@plant.example",
        "recipients": ["shift@plant.example", "soc@plant.example"],
    }
    return teller(**(words | more))


async def test_a_mail_comes_over_tls_that_starttls_began(inbox, tmp_path):
    with serving(inbox, tmp_path) as (port, ca):
        await mailer(port, ca).tell(kept(text="it scanned\r\nBcc: evil@example", technique="T0861"))
    ((sender, recipients, mail),) = inbox.mails
    assert (sender, recipients) == ("bartizan@plant.example", ["shift@plant.example", "soc@plant.example"])
    assert mail["Subject"] == "[plant-1] high: topic_scan, finding 7"
    assert (mail["Auto-Submitted"], mail["Bcc"]) == ("auto-generated", None)
    body = mail.get_content()
    assert "finding: it scanned\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}Bcc: evil@example" in body
    assert "bartizan findings show 7" in body


async def test_a_mail_comes_over_tls_from_the_beginning(inbox, tmp_path):
    with serving(inbox, tmp_path, tls="implicit") as (port, ca):
        await mailer(port, ca, tls="implicit").tell(kept())
    assert len(inbox.mails) == 1


@pytest.mark.parametrize(("password", "is_let_in"), [(PASSWORD, True), ("wrong", False)])
async def test_it_logs_in_where_that_is_asked_for(inbox, tmp_path, password, is_let_in):
    file = tmp_path / "password"
    file.write_text(password + "\n")
    file.chmod(0o600)
    with serving(inbox, tmp_path, authenticator=may_log_in, auth_required=True) as (port, ca):
        people = mailer(port, ca, user_name="bartizan", password_file=file)
        if is_let_in:
            await people.tell(kept())
        else:
            with pytest.raises(ProviderUnavailable, match="535") as refused:
                await people.tell(kept())
            assert not isinstance(refused.value, NotReached)
            assert password not in str(refused.value)
    assert len(inbox.mails) == is_let_in


async def test_without_tls_nothing_is_sent_unless_somebody_says_why(inbox, tmp_path):
    with serving(inbox, tmp_path, tls="none") as (port, ca):
        with pytest.raises(ProviderUnavailable, match="STARTTLS"):
            await mailer(port, ca).tell(kept())
        assert inbox.mails == []
        await mailer(port, ca, danger_plaintext_alert="loopback of a test").tell(kept())
    assert len(inbox.mails) == 1


async def test_a_server_of_another_name_or_another_ca_gets_nothing(inbox, tmp_path):
    with serving(inbox, tmp_path) as (port, ca):
        with pytest.raises(ProviderUnavailable, match="TLS failed"):
            await mailer(port, ca, address=f"127.0.0.1:{port}").tell(kept())
        ca.write_bytes(Issuer.root().pem)
        with pytest.raises(ProviderUnavailable, match="TLS failed"):
            await mailer(port, ca).tell(kept())
    assert inbox.mails == []


@pytest.mark.parametrize(("answer", "again"), [("451 later", True), ("554 spam", False)])
async def test_what_may_come_right_is_tried_again_and_what_will_not_is_not(inbox, tmp_path, answer, again):
    inbox.answer = answer
    with serving(inbox, tmp_path) as (port, ca), pytest.raises(ProviderUnavailable) as failed:
        await mailer(port, ca).tell(kept())
    assert isinstance(failed.value, NotReached) is again
    assert answer[:3] in str(failed.value)


async def test_a_recipient_that_is_refused_is_told(inbox, tmp_path):
    inbox.refused = {"soc@plant.example"}
    with serving(inbox, tmp_path) as (port, ca), pytest.raises(ProviderUnavailable, match="refused 1 of 2"):
        await mailer(port, ca).tell(kept())
    assert len(inbox.mails) == 1, "the other one has it"


async def test_a_server_that_is_not_there_is_asked_again(tmp_path):
    (port,) = free_ports(1)
    ca = tmp_path / "ca.pem"
    ca.write_bytes(Issuer.root().pem)
    with pytest.raises(NotReached):
        await mailer(port, ca).tell(kept())


async def test_syslog_is_told_as_rfc_5424_writes_it(tmp_path):
    with collecting(tmp_path) as (collector, ca):
        people = teller(kind="syslog", address=f"localhost:{collector.port}", ca_file=ca)
        await people.tell(kept(score=90))
        await people.tell(kept(score=30, about=About.NETWORK, name="192.0.2.7"))
        soon(lambda: len(collector.messages()) == 2)
        await people.aclose()
    first, second = (message.decode() for message in collector.messages())
    assert (first.split(" ")[0], second.split(" ")[0]) == ("<107>1", "<108>1")
    assert first.split(" ")[3:6] == ["bartizan", "-", "finding"]
    told = json.loads(first.partition(" - {")[2].join(("{", "")))
    assert (told["detail"]["broker"], told["detail"]["finding"]["number"]) == ("plant-1", 7)


async def test_syslog_that_is_not_there_is_asked_again(tmp_path):
    (port,) = free_ports(1)
    ca = tmp_path / "ca.pem"
    ca.write_bytes(Issuer.root().pem)
    with pytest.raises(NotReached):
        await teller(kind="syslog", address=f"localhost:{port}", ca_file=ca).tell(kept())


async def test_a_message_of_the_brokers_own_is_on_its_own_topic():
    engine = FakeEngine()
    alert = ALERT_KINDS["mqtt"].model_validate({"kind": "mqtt"})
    await teller_of("people", alert, "plant-1", engine).tell(kept())
    (topic,) = engine.status
    assert topic == "$SYS/broker/alerts/people"
    assert json.loads(engine.status[topic])["finding"]["text"] == "it scanned"


def test_a_file_that_cannot_be_used_is_told_at_the_start(tmp_path):
    missing = tmp_path / "missing"
    wrong: list[Callable[[], Teller]] = [
        lambda: teller(kind="syslog", address="localhost:1", ca_file=missing),
        lambda: mailer(1, missing),
        lambda: mailer(1, tmp_path / "missing", user_name="a", password_file=missing),
    ]
    for make in wrong:
        with pytest.raises(ConfigurationError):
            make()
