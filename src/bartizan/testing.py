"""A real broker for your own tests: on a free loopback port, with TLS, identities and a policy.

    with Broker() as broker:
        press = broker.enrol("press-01", role="press", site="chicago")

Under pytest the fixture `bartizan_broker` is such a broker. What a broker needs is imported when one
is started, so that pytest, which loads this module as a plugin, starts as fast as before.
"""

import asyncio
import sys
import tempfile
import threading
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

if TYPE_CHECKING:
    from bartizan.authn import Authenticator
    from bartizan.broker.loopback import Loopback
    from bartizan.config.schema import Settings
    from bartizan.detect import Detector

# ruff: noqa: PLC0415  imports inside functions, as said above

T = TypeVar("T")

TIMEOUT_S = 30.0
"""A broker that has not started, answered or stopped by then is broken: the test fails."""

CONFIGURATION = """\
# A file that names a listener names all of them: nothing else listens.
[listeners.mqtt]
bind = "127.0.0.1:0"
loopback_only = true

# Tests connect faster than any device: the rate that holds strangers back would refuse them at random.
[limits]
connection_rate_per_prefix_per_s = 1_000_000
connection_burst_per_prefix = 1_000_000
"""


@dataclass(frozen=True, slots=True)
class Bundle:
    """What a client needs to connect as one identity."""

    directory: Path
    """Key, certificate, CA and option files for mosquitto_sub and mosquitto_pub."""
    user_name: str
    client_id: str
    ca_file: str
    certificate_file: str | None = None
    key_file: str | None = None
    password: str | None = field(default=None, repr=False)


class Broker:
    """A broker between `with` and the end of its block.

    `policy` is a policy's text; by default the one that `bartizan up` writes at its first run.
    `directory` keeps identities, Sessions and messages for a second broker on it; by default all is
    in memory and gone at the end. `danger_plaintext` and `danger_anonymous` take a reason, as in the
    configuration. `settings` are further settings, as `--set` takes them. `authenticators` and `detectors` are
    your own, asked beside the built-in ones.
    """

    _loop: asyncio.AbstractEventLoop

    def __init__(  # noqa: PLR0913  what its `with` line says
        self,
        policy: str | None = None,
        *,
        directory: Path | None = None,
        danger_plaintext: str | None = None,
        danger_anonymous: str | None = None,
        settings: Sequence[str] = (),
        authenticators: Sequence["Authenticator"] = (),
        detectors: Sequence["Detector"] = (),
    ) -> None:
        self._policy = policy
        self._directory = directory
        self._dangers = {"danger_plaintext": danger_plaintext, "danger_anonymous": danger_anonymous}
        self._overrides = tuple(settings)
        self._authenticators = tuple(authenticators)
        self._detectors = tuple(detectors)
        self._stack = ExitStack()
        self._loopback: Loopback | None = None

    def __enter__(self) -> Self:
        from bartizan.broker.log import Journal
        from bartizan.broker.loopback import Loopback
        from bartizan.policy import default_policy_text

        with ExitStack() as stack:
            root = self._directory or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bartizan-")))
            settings = self._settings(root)
            journal = Journal(sys.stderr, settings.log)
            stack.callback(journal.close)
            self._loop = asyncio.new_event_loop()
            thread = threading.Thread(target=self._loop.run_forever, name="bartizan", daemon=True)
            thread.start()
            stack.callback(self._loop.close)
            stack.callback(thread.join, TIMEOUT_S)
            stack.callback(self._loop.call_soon_threadsafe, self._loop.stop)
            policy = default_policy_text() if self._policy is None else self._policy
            durable = self._directory is not None
            loopback = Loopback(
                root,
                settings,
                policy,
                journal,
                durable=durable,
                authenticators=self._authenticators,
                detectors=self._detectors,
            )
            self._loopback = self._call(loopback.__aenter__())
            stack.callback(lambda: self._call(loopback.__aexit__(None, None, None)))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def host(self) -> str:
        """Where to connect; the server certificate names it."""
        from bartizan.broker.loopback import HOST

        return HOST

    @property
    def port(self) -> int:
        """The port that the system chose."""
        return self._running.port

    @property
    def ca_file(self) -> str:
        """The CA that signed the server certificate."""
        return str(self._running.data.ca_certificate)

    def enrol(self, name: str, role: str | Sequence[str] = (), *, password: bool = False, **attributes: str) -> Bundle:
        """Makes an identity with its certificate, or with a generated password. It may connect at once."""
        roles = [role] if isinstance(role, str) else list(role)
        enrolled = self._call(self._running.enrol(name, roles, attributes, password=password))
        return Bundle(
            directory=enrolled.bundle,
            user_name=name,
            client_id=name,
            ca_file=self.ca_file,
            certificate_file=None if password else str(enrolled.bundle / f"{name}.crt"),
            key_file=None if password else str(enrolled.bundle / f"{name}.key"),
            password=enrolled.password,
        )

    def remove(self, name: str) -> None:
        """Removes an identity; its connections end."""
        self._call(self._running.remove(name))

    def apply_policy(self, policy: str) -> None:
        """Puts another policy in force; a bad one raises `ConfigurationError` and changes nothing."""
        self._call(self._running.apply_policy(policy))

    @property
    def _running(self) -> "Loopback":
        if self._loopback is None:
            raise RuntimeError("the broker runs inside its `with` block only")
        return self._loopback

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(TIMEOUT_S)

    def _settings(self, root: Path) -> "Settings":
        from bartizan.config.load import load_settings
        from bartizan.pki.files import make_directory

        make_directory(root)
        file = root / "bartizan.toml"
        file.write_text(CONFIGURATION, encoding="utf-8")
        reasons = [f"listeners.mqtt.{key}={reason}" for key, reason in self._dangers.items() if reason is not None]
        store = [] if self._directory is not None else ["store.kind=memory"]
        quick = ["broker.cores=1", "broker.drain_timeout_s=1", "log.level=warning"]
        return load_settings(file, [*quick, *store, *reasons, *self._overrides])


with suppress(ImportError):  # the context manager needs no pytest
    import pytest

    @pytest.fixture
    def bartizan_broker() -> Iterator[Broker]:
        """A broker with the default policy, for one test."""
        with Broker() as broker:
            yield broker
