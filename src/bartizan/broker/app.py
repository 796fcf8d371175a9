"""The broker as a whole: what it is made of, its start and its end."""

import asyncio
import json
import re
import signal
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bartizan.audit.stores import RecordedStore
from bartizan.audit.trail import CHANGES, Trail
from bartizan.authn import Authenticator, Chain, default_chain
from bartizan.authn.ocsp import Revoked
from bartizan.broker.aged import AgedOut
from bartizan.broker.ages import AgeWatch
from bartizan.broker.apply import InForce
from bartizan.broker.authenticate import Desk
from bartizan.broker.certificates import Certificates, read_material
from bartizan.broker.chores import Chores
from bartizan.broker.control import ControlDesk, control_desk
from bartizan.broker.crls import RevocationLists, WatchedFiles
from bartizan.broker.detection import Detection, begun_detection
from bartizan.broker.directory import LiveDirectory
from bartizan.broker.ended import disconnect_ended, every_client
from bartizan.broker.figures import Figures, TimedDesk
from bartizan.broker.hashes import HashWriter
from bartizan.broker.inspecting import Inspecting
from bartizan.broker.lock import DirectoryLock
from bartizan.broker.log import Journal
from bartizan.broker.names import PolicyNames
from bartizan.broker.native import NativeEngine
from bartizan.broker.places import Places
from bartizan.broker.ports import EnginePort
from bartizan.broker.pump import Pump
from bartizan.broker.reading import read_policy
from bartizan.broker.recovery import tell_recovery
from bartizan.broker.reload import BY_SIGNAL, RELOAD, ReloadReport, needs_restart
from bartizan.broker.start import end_revoked, record_start, tell_start
from bartizan.broker.terminal import Terminal
from bartizan.broker.tracing import Tracing
from bartizan.broker.usage import UsageBook
from bartizan.broker.watching import Watching
from bartizan.config.engine import crl_files, engine_config
from bartizan.config.layout import DataDirectory
from bartizan.config.schema import Settings
from bartizan.detect import Detector
from bartizan.errors import BartizanError, ConfigurationError
from bartizan.identity.ages import AgeLimits
from bartizan.model.actor import BROKER, Actor
from bartizan.policy import CompiledPolicy
from bartizan.store.observations import ObservationStore
from bartizan.store.ports import WholeStore


class State(StrEnum):
    """Where in its life a broker is."""

    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"
    STOPPED = "stopped"


class Broker:
    """One broker: `async with Broker(...) as broker: await broker.run()`.

    Entering checks everything, then binds everything, or raises with nothing left behind. The caller keeps `store` and
    `journal`; the broker opens and closes the rest. `authenticators` and `detectors` are asked beside the built-in ones.
    """

    engine: EnginePort
    directory: LiveDirectory
    certificates: Certificates
    crls: RevocationLists
    in_force: InForce
    usage: UsageBook
    places: Places
    watching: Watching
    tracing: Tracing
    inspecting: Inspecting
    detection: Detection
    chores: Chores
    ages: AgeWatch
    aged: AgedOut
    hashes: HashWriter
    _chain: Chain
    _control: ControlDesk | None
    _pump: Pump

    def __init__(  # noqa: PLR0913  what a composition root is given
        self,
        settings: Settings,
        data: DataDirectory,
        *,
        store: WholeStore,
        journal: Journal,
        reread: Callable[[], Settings] | None = None,
        make_engine: Callable[[bytes], EnginePort] | None = None,
        authenticators: Sequence[Authenticator] = (),
        detectors: Sequence[Detector] = (),
    ) -> None:
        self.settings = settings
        self.data = data
        self.journal = journal
        self.state = State.STARTING
        self.started_at = datetime.now(UTC)
        self.figures = Figures()
        self.trail = Trail.of(data.audit, settings.audit, BROKER, self.figures.syncs_of(CHANGES))
        self.store = RecordedStore(store, self.trail)
        self._latest = settings
        """As it was last read: of what holds at once, what is in force."""
        self._crl_files = WatchedFiles()
        self._reread = reread or (lambda: settings)
        self._make_engine = make_engine or NativeEngine
        self._authenticators = tuple(authenticators)
        self._detectors = tuple(detectors)
        self._stack = AsyncExitStack()
        self._reloading = asyncio.Lock()
        self._following = asyncio.Lock()
        self._ended = asyncio.Event()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            stack.enter_context(DirectoryLock(self.data.root))
            policy = await asyncio.to_thread(read_policy, self.policy_named(self.settings))
            self.directory = LiveDirectory(self.store)
            await self.directory.load()
            self.hashes = HashWriter(self.store, self.directory.expect_rehashed)
            # The engine ends connections of certificates that it is told of with the identities.
            revoked = Revoked(self.directory.changed.set)
            self._chain = chain = await asyncio.to_thread(
                default_chain,
                self.settings,
                self.directory,
                self._authenticators,
                self.hashes,
                PolicyNames(self),
                self.tell_provider,
                revoked=revoked,
                is_banned=self.directory.is_banned,
            )
            stack.push_async_callback(chain.aclose)
            self.crls = RevocationLists(self.settings, self.data, self.journal)
            stack.push_async_callback(self.crls.aclose)
            await self._begin_lists()
            self.engine = self._make_engine(json.dumps(engine_config(self.settings, self.data, self.crls.of)).encode())
            self.certificates = Certificates(self.engine, self.data, self.directory, self.trail)
            self.certificates.assume(self.settings, self.crls.of)
            self.in_force = InForce(self.engine, self.directory, policy, revoked.fingerprints)
            await asyncio.to_thread(record_start, self, policy)
            await tell_recovery(self.in_force.begin(), self.engine, self.journal)
            stack.push_async_callback(asyncio.to_thread, self.engine.stop, self.settings.broker.drain_timeout_s)
            await end_revoked(self)
            self.usage, detect = UsageBook(self.store), self.settings.detect
            self.places = Places(self.journal, certificate=detect.place_of_certificate, other=detect.place_of_secret)
            self.watching = Watching(self.engine, ObservationStore(self.data.observations), self.journal, self.trail)
            await self._begin_looks(stack)
            self.detection = await begun_detection(self, self._detectors)
            stack.push_async_callback(self.detection.aclose)
            desk = Desk(
                chain,
                self.in_force.settled,
                proved=self.usage.proved,
                admitted=self.places.proved,
                refused=self.detection.refused,
            )
            self._control = control_desk(self)
            commands = self._control.take if self._control else None
            self._pump = Pump(self.engine, TimedDesk(desk, self.figures), self._take_events, commands)
            credentials, enforced = self.settings.credentials, self.settings.credentials.ages == "enforce"
            limits = AgeLimits(credentials.days_max, PolicyNames(self).credential_days_max)
            self.ages = AgeWatch(self.directory, limits, self.journal, enforced=enforced)
            self.aged = AgedOut(self.engine, self.directory, self.usage, credentials.days_max, enforced=enforced)
            self.chores = Chores(self)
            self._stack = stack.pop_all()
        self._open()
        return self

    def _open(self) -> None:
        """Everything stands: who comes is answered."""
        tell_start(self)
        if self._control is not None:
            self._control.start()
        self._pump.start()
        self.chores.start()
        self.state = State.READY

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.state = State.DRAINING
        self.journal.note("draining", grace_s=self.settings.broker.drain_timeout_s)
        if self._control is not None:
            await self._control.stop()
        await self.chores.stop()
        await self.chores.write_observations()
        try:
            # The engine stops while the pump still writes what it tells.
            await self._stack.aclose()
        finally:
            await self._pump.stop()
            await self.chores.write_usage()
            self.state = State.STOPPED
            self.journal.note("stopped")
            await self.chores.write_events()

    def handle_signals(self) -> None:
        """SIGTERM and SIGINT end `run`, SIGHUP reloads, or ends it with its terminal. Only in the main thread."""
        loop = asyncio.get_running_loop()
        terminal = Terminal()
        for ending in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(ending, self.end)
        loop.add_signal_handler(signal.SIGHUP, lambda: self.end() if terminal.is_gone else self.chores.reload())

    def end(self) -> None:
        """Lets `run` return."""
        self._ended.set()

    async def run(self) -> None:
        """Returns when a signal, or `end`, says so."""
        await self._ended.wait()

    async def reload(self, actor: Actor = BY_SIGNAL) -> ReloadReport:
        """Reads configuration, certificates and policy again. What cannot be used changes nothing."""
        async with self._reloading:
            trail, before = self.trail.acting_as(actor), self.in_force.policy
            try:
                settings, policy, material = await asyncio.to_thread(self._read_again)
                # Whoever changes both, policy and identities, has both in force when this returns.
                await self.directory.refresh()
                span = await trail.begin(RELOAD, before={"policy": before.digest}, after={"policy": policy.digest})
            except BartizanError as error:
                self._tell_refused(error)
                return ReloadReport(refused=(str(error),), epoch=self.in_force.epoch)
            async with trail.settling(span, RELOAD):
                # Before its files are in force: whoever looks at them from then on looks at those of this configuration.
                self._latest = settings
                self.journal.level = settings.log.level
                refused = await self._replace(material)
                epoch = await self.put_policy(policy)
                self.aged.changed(before)
                if policy.digest != before.digest:
                    self.chores.policy_changed()
            later = needs_restart(self.settings, settings)
            for setting in later:
                self.journal.note("needs_restart", setting=setting)
            self.journal.note("reloaded", policy=policy.digest, epoch=epoch)
            return ReloadReport(
                applied=("policy", *(["certificates"] if not refused else [])),
                refused=refused,
                needs_restart=later,
                epoch=epoch,
            )

    async def follow_identities(self) -> None:
        """Has the engine hold to what the directory knows now, and ends connections of credentials that ended."""
        # One at a time: whoever finds nothing left to end returns when it has ended, not before.
        async with self._following:
            # First, so that the engine remembers no success of a credential that has ended.
            await self.in_force.follow()
            ended = self.directory.take_ended()
            await asyncio.to_thread(disconnect_ended, self.engine, self.usage, ended)

    async def put_policy(self, policy: CompiledPolicy) -> int:
        """Puts this policy in force; the epoch."""
        async with self.watching.changing(policy):
            return await self.in_force.put(policy)

    async def care_for_certificates(self) -> None:
        """Renews what is due and gives it to the engine."""
        if await asyncio.to_thread(self.certificates.care, datetime.now(UTC)):
            await self._read_and_replace(self._listeners())

    async def care_for_crls(self) -> None:
        """Fetches what is due of `crl_urls`, looks at `crl_files`, and gives the engine what changed: also that a
        list has ended."""
        await self.crls.refresh()
        touched = await asyncio.to_thread(self._crl_files.changed, self._lists())
        await self._read_and_replace(self._listeners() if self.crls.take_changed() else touched)

    async def look_at_responders(self) -> None:
        """Asks OCSP responders again about certificates of clients that stay connected."""
        await self._chain.look_again(
            lambda: asyncio.to_thread(lambda: {one["client_id"] for one in every_client(self.engine)})
        )

    def policy_named(self, settings: Settings) -> Path | Sequence[Path]:
        """What names the policy in force: a file, a directory, a pattern, or several."""
        return settings.policy.file or self.data.policy

    def policy_to_read(self) -> Sequence[Path]:
        """What names the policy that the next reload will read: of the configuration as it is now, if that is good."""
        try:
            named = self.policy_named(self._reread())
        except BartizanError:
            named = self.policy_named(self.settings)
        return [name.absolute() for name in ((named,) if isinstance(named, Path) else named)]

    @property
    def store_failed(self) -> bool:
        """Whether the engine's store failed: QoS 1 and 2 are refused from then on."""
        return bool(self.engine.metrics().get("store_failed", 0))

    def uptime_s(self) -> int:
        """Whole seconds since the start."""
        return int((datetime.now(UTC) - self.started_at).total_seconds())

    async def _begin_lists(self) -> None:
        await self.crls.begin()
        # Before they are read: what changes in between is seen at the next look.
        await asyncio.to_thread(self._crl_files.changed, self._lists())

    async def _begin_looks(self, stack: AsyncExitStack) -> None:
        await self.watching.begin(self.in_force.policy)
        self.inspecting = Inspecting(self.engine, self.data.observations, self.trail)
        self.tracing = Tracing(self.engine, self.trail)
        stack.push_async_callback(self.tracing.aclose)

    def _read_again(self) -> tuple[Settings, CompiledPolicy, dict[str, bytes]]:
        settings = self._reread()
        policy = read_policy(self.policy_named(settings))
        self.certificates.care(datetime.now(UTC))
        material = read_material(settings, self.data, self.crls.of)
        # A listener that is new or gone waits for the next start.
        running = {name for name, listener in self.settings.listeners.items() if listener.tls}
        return settings, policy, {name: pem for name, pem in material.items() if name in running}

    def _listeners(self) -> list[str]:
        """Those of TLS that run, as far as the configuration still has them."""
        return [
            name
            for name in self._latest.listeners
            if name in self.settings.listeners and self.settings.listeners[name].tls
        ]

    def _lists(self) -> dict[str, tuple[Path, ...]]:
        return {name: crl_files(self._latest.listeners[name], self.data) for name in self._listeners()}

    async def _read_and_replace(self, listeners: Collection[str]) -> None:
        """One by one: what is wrong with a file of one listener holds no other one up."""
        # Not in the middle of a reload: what was read before it would be in force behind it.
        async with self._reloading:
            for name in listeners:
                try:
                    material = await asyncio.to_thread(read_material, self._latest, self.data, self.crls.of, (name,))
                except ConfigurationError as error:
                    self.journal.note("certificates_refused", listener=name, reason=str(error))
                else:
                    await self._replace(material)

    async def _replace(self, material: Mapping[str, bytes]) -> tuple[str, ...]:
        replaced, refused = await asyncio.to_thread(self.certificates.replace, material)
        for listener in replaced:
            self.journal.note("certificates_replaced", listener=listener)
        for listener, why in refused.items():
            self.journal.note("certificates_refused", listener=listener, reason=why)
        return tuple(f"listener {listener}: {why}" for listener, why in refused.items())

    def _take_events(self, events: Sequence[Mapping[str, Any]]) -> None:
        self.journal.events(events)
        self.usage.events(events)
        self.places.events(events)

    def tell_provider(self, authenticator: str, wrong: str | None) -> None:
        """Tells what is wrong with whom an authenticator asks outside; None: that is over."""
        if wrong is None:
            self.journal.note("provider_available", authenticator=authenticator)
        else:
            self.journal.note("provider_unavailable", authenticator=authenticator, reason=wrong)

    def _tell_refused(self, error: BartizanError) -> None:
        where = error.where if isinstance(error, ConfigurationError) else ""
        named = self.policy_named(self.settings)
        names = (named,) if isinstance(named, Path) else named
        # A mistake stands in a file; what a pattern names is known by the part before its wildcard.
        of_policy = where.startswith(tuple(re.split(r"[*?[]", str(name))[0] for name in names))
        self.journal.note("policy_refused" if of_policy else "configuration_refused", reason=str(error))
