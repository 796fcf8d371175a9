"""How somebody is told of a finding: by a POST, by mail, by syslog, by a message of the broker's own."""

import asyncio
import smtplib
import ssl
from datetime import UTC, datetime
from typing import Protocol

from bartizan.audit.sinks import NotDelivered, Record
from bartizan.audit.syslog import Syslog
from bartizan.authn.base import ProviderUnavailable
from bartizan.authn.fetch import Fetcher, NotReached, trust
from bartizan.broker.ports import EnginePort
from bartizan.config.alerts import Alert, EmailAlert, MqttAlert, SyslogAlert, WebAlert
from bartizan.config.audit_sinks import SyslogSink
from bartizan.config.files import read_secret, read_secret_octets
from bartizan.errors import ConfigurationError
from bartizan.model.finding import Kept
from bartizan.model.signing import SECRET_BYTES_MIN, signed
from bartizan.respond.alerts import alertmanager, mail, record, webhook

ANSWER_BYTES_MAX = 65_536
TOPICS = "$SYS/broker/alerts"

TRANSIENT = range(400, 500)
"""Replies of SMTP that say: later, perhaps (RFC 5321, 4.2.1)."""


class Teller(Protocol):
    """Tells one destination."""

    async def tell(self, kept: Kept) -> None:
        """`NotReached` where asking again is no harm, `ProviderUnavailable` where it will not help."""
        ...

    async def aclose(self) -> None:
        """Lets go of what it holds open."""
        ...


def teller_of(name: str, alert: Alert, broker: str, engine: EnginePort) -> Teller:
    """The teller of `[alerts.NAME]`; `ConfigurationError` for a file that cannot be used."""
    match alert:
        case WebAlert():
            return _Web(name, alert, broker)
        case EmailAlert():
            return _Mail(name, alert, broker)
        case SyslogAlert():
            return _Syslog(name, alert, broker)
        case MqttAlert():
            return _Mqtt(name, broker, engine)


class _Web:
    """A webhook, or Alertmanager."""

    def __init__(self, name: str, alert: WebAlert, broker: str) -> None:
        self._alert = alert
        self._broker = broker
        self._secret = _secret(name, alert)
        self._fetcher = Fetcher(
            f"alerts.{name}", ca_file=alert.ca_file, deadline_s=alert.deadline_s, bytes_max=ANSWER_BYTES_MAX
        )

    async def tell(self, kept: Kept) -> None:
        headers = {"content-type": "application/json"}
        if self._alert.kind == "alertmanager":
            body = alertmanager(kept, self._broker)
        else:
            body = webhook(kept, self._broker)
            headers |= signed(body, self._secret, datetime.now(UTC))
        await self._fetcher.send(self._alert.alert_url, body, headers)

    async def aclose(self) -> None:
        await self._fetcher.aclose()


class _Mail:
    """A message by SMTP."""

    def __init__(self, name: str, alert: EmailAlert, broker: str) -> None:
        self._name = f"alerts.{name}"
        self._alert = alert
        self._broker = broker
        host, _, port = alert.address.rpartition(":")
        self._place = (host.strip("[]"), int(port))
        self._context = trust(alert.ca_file)
        self._password = (
            "" if alert.password_file is None else read_secret(alert.password_file, "the password of a mail server")
        )

    async def tell(self, kept: Kept) -> None:
        try:
            await asyncio.to_thread(self._send, kept)
        except smtplib.SMTPResponseException as error:
            # Its words may quote what was sent; the code is enough.
            kind = NotReached if error.smtp_code in TRANSIENT else ProviderUnavailable
            raise kind(f"{self._name} answered {error.smtp_code}") from None
        except smtplib.SMTPRecipientsRefused as error:
            raise ProviderUnavailable(f"{self._name} refused {len(error.recipients)} recipients") from None
        except smtplib.SMTPNotSupportedError:
            raise ProviderUnavailable(f"{self._name} has no STARTTLS, or no login: nothing was sent") from None
        except ssl.SSLError as error:
            raise ProviderUnavailable(f"{self._name}: TLS failed: {error.reason or type(error).__name__}") from None
        except (OSError, smtplib.SMTPException) as error:
            raise NotReached(f"{self._name} cannot be asked: {type(error).__name__}") from None

    def _send(self, kept: Kept) -> None:
        alert, (host, port) = self._alert, self._place
        message = mail(kept, self._broker, alert.sender, alert.recipients)
        if alert.tls == "implicit" and alert.danger_plaintext_alert is None:
            connection: smtplib.SMTP = smtplib.SMTP_SSL(host, port, timeout=alert.deadline_s, context=self._context)
        else:
            connection = smtplib.SMTP(host, port, timeout=alert.deadline_s)
        with connection:
            if alert.tls == "starttls" and alert.danger_plaintext_alert is None:
                connection.starttls(context=self._context)
            if alert.user_name is not None:
                connection.login(alert.user_name, self._password)
            refused = connection.send_message(message, alert.sender, list(alert.recipients))
        if refused:
            raise ProviderUnavailable(f"{self._name} refused {len(refused)} of {len(alert.recipients)} recipients")

    async def aclose(self) -> None:
        pass


class _Syslog:
    """A message of syslog, as the record of changes is sent."""

    def __init__(self, name: str, alert: SyslogAlert, broker: str) -> None:
        self._name = f"alerts.{name}"
        self._broker = broker
        try:
            self._sink = Syslog(SyslogSink(logs=("events",), batch_max=1, **alert.model_dump()))
        except OSError as error:
            raise ConfigurationError(f"a file cannot be used: {error}", f"alerts.{name}", "correct the path") from None
        self._last: list[Record] = []
        """What was told last: it may have been lost with the connection."""

    async def tell(self, kept: Kept) -> None:
        try:
            await asyncio.to_thread(self._send, record(kept, self._broker))
        except NotDelivered as error:
            raise NotReached(str(error)) from None

    async def aclose(self) -> None:
        await asyncio.to_thread(self._sink.close)

    def _send(self, told: Record) -> None:
        wanted = [told]
        try:
            self._sink.settled()
        except NotDelivered:
            wanted = [*self._last, told]
        self._sink.deliver(wanted)
        self._last = [told]


class _Mqtt:
    """A message of the broker's own, retained: who subscribes later gets the last one."""

    def __init__(self, name: str, broker: str, engine: EnginePort) -> None:
        self._topic = f"{TOPICS}/{name}"
        self._broker = broker
        self._engine = engine

    async def tell(self, kept: Kept) -> None:
        self._engine.publish_status({self._topic: webhook(kept, self._broker).decode()})

    async def aclose(self) -> None:
        pass


def _secret(name: str, alert: WebAlert) -> bytes:
    if alert.secret_file is None:
        return b""
    secret = read_secret_octets(alert.secret_file, "the secret of an alert")
    if len(secret) < SECRET_BYTES_MIN:
        raise ConfigurationError(
            f"the secret of an alert is shorter than {SECRET_BYTES_MIN} octets",
            f"alerts.{name}.secret_file",
            "make one: openssl rand -hex 32",
        )
    return secret
