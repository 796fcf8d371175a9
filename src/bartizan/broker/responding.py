"""Does what playbooks answer to findings: tells whom they name, disconnects, quarantines, revokes. What was done is on record, and told.

Whoever is told of findings may be slow or gone: alerts wait in a line of their own for each, so that neither
detection nor another alert waits with them. The line is bounded, and so are the attempts.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from bartizan.authn.base import ProviderUnavailable
from bartizan.authn.fetch import NotReached
from bartizan.broker.hands import Hands
from bartizan.broker.log import Journal
from bartizan.broker.ports import ADMINISTRATIVE_ACTION
from bartizan.broker.runbooks import StoppedError
from bartizan.broker.tellers import Teller, teller_of
from bartizan.config.api import Act
from bartizan.config.schema import Settings
from bartizan.errors import BartizanError, NotFound
from bartizan.model.ban import BanOf, new_ban
from bartizan.model.finding import Kept
from bartizan.model.response import Outcome, Response
from bartizan.model.throttle import new_throttle
from bartizan.respond.actions import outcome
from bartizan.respond.playbooks import HOUR_S, Playbooks
from bartizan.respond.runbooks import Occasion, run
from bartizan.store.responses import ResponseStore

ALERTS_WAITING_MAX = 256
"""For one destination; further ones fail at once."""

ATTEMPTS_MAX = 4
PAUSE_S = 1.0
"""Before the second attempt; four times as long before each next one."""

GOODBYE_S = 2.0
"""For alerts that wait when the broker stops."""

HOURS = 1
"""Of a ban or a throttle, where the playbook says nothing."""


class Responding:
    """The playbooks of one broker, and its hands."""

    def __init__(self, settings: Settings, hands: Hands, store: ResponseStore, journal: Journal) -> None:
        self._hands = hands
        takes_two = Act.REVOKE in settings.api.two_person
        self._playbooks = Playbooks(settings.playbooks, settings.runbooks, revoking_takes_two=takes_two)
        self._runbooks = settings.runbooks
        self._store = store
        self._journal = journal
        self._lines = {
            name: _Line(alert.kind, teller_of(name, alert, settings.broker.name, hands.engine), self._settled)
            for name, alert in settings.alerts.items()
        }

    async def found(self, kept: Kept) -> None:
        """Answers a finding."""
        for response in self._playbooks.answers(kept, _now().timestamp()):
            playbook = self._playbooks.named(response.playbook)
            line = None if playbook is None or playbook.to is None else self._lines.get(playbook.to)
            if line is not None and response.outcome is Outcome.DONE:
                await line.put(response, kept)
            elif response.outcome is Outcome.DONE:
                await self._settled(await self._act(response, self._hands))
            else:
                await self._settled(response)

    async def confirm(self, number: int, hands: Hands) -> Response:
        """Does what waits, by the hands of who confirms it; `NotFound` if it waits no more, or has waited too long."""
        by = hands.trail.actor.name
        waiting = await asyncio.to_thread(self._store.settle, number, Outcome.DONE, "", by)
        if (_now() - waiting.at).total_seconds() > HOUR_S:
            text = "it was confirmed more than an hour after the finding"
            await asyncio.to_thread(self._store.tell, number, Outcome.LEFT_OUT, text)
            raise NotFound(f"response {number} has waited too long: what it answers may be over")
        done = await self._act(waiting, hands)
        await asyncio.to_thread(self._store.tell, number, done.outcome, done.text)
        self._tell(done)
        return done

    async def dismiss(self, number: int, hands: Hands) -> Response:
        """Does not do what waits, as who dismisses it says; `NotFound` if it waits no more."""
        by = hands.trail.actor.name
        dismissed = await asyncio.to_thread(self._store.settle, number, Outcome.DISMISSED, "", by)
        self._tell(dismissed)
        return dismissed

    async def aclose(self) -> None:
        """Gives alerts that wait a moment."""
        await asyncio.gather(*(line.aclose() for line in self._lines.values()))

    async def _act(self, response: Response, hands: Hands) -> Response:
        """Does to the identity what the playbook says; what cannot be done has failed, with the reason."""
        try:
            return replace(response, text=await self._done(response, hands))
        except BartizanError as error:
            return replace(response, outcome=Outcome.FAILED, text=str(error))

    async def _done(self, response: Response, hands: Hands) -> str:
        playbook = self._playbooks.named(response.playbook)
        if playbook is None or playbook.action != response.action:
            raise NotFound(f"there is no playbook {response.playbook} any more that would {response.action}")
        why, at = f"finding {response.finding}, playbook {response.playbook}", _now()
        hands = hands.because(why)
        if response.action == "disconnect":
            return f"{await hands.disconnect_identity(response.name, ADMINISTRATIVE_ACTION)} connections ended"
        by = f"playbook {response.playbook}"
        if response.action == "runbook":
            return await self._run(playbook.runbook or "", response, Occasion(at, by, why), hands)
        if response.action == "throttle":
            until, rate = at + timedelta(hours=playbook.throttle_h or HOURS), playbook.throttle_per_s or 1
            await hands.throttle(new_throttle(response.name, messages_per_s=rate, until=until, reason=why, by=by))
            return f"throttled to {rate} messages a second for {playbook.throttle_h or HOURS} h"
        if response.action == "ban":
            until = at + timedelta(hours=playbook.ban_h or HOURS)
            ban = new_ban(BanOf.ADDRESS, response.name, at=at, until=until, reason=why, by=by)
            return f"banned for {playbook.ban_h or HOURS} h: {len((await hands.bans.add(ban)).cut)} connections cut"
        if response.action == "revoke":
            clears = playbook.clear_retained
            done = await hands.actions.revoke(response.name, at=at, note=why, clears_retained=clears)
        elif response.action != "quarantine":
            raise NotFound(f"{response.action} is nothing that waits to be done")
        else:
            until = None if playbook.quarantine_h is None else at + timedelta(hours=playbook.quarantine_h)
            done = await hands.actions.quarantine(response.name, until=until, reason=why, by=by)
        return outcome(done)

    async def _run(self, name: str, response: Response, occasion: Occasion, hands: Hands) -> str:
        runbook = self._runbooks.get(name)
        if runbook is None:
            raise NotFound(f"there is no runbook {name} any more")
        done = await run(name, runbook, response.name, hands, occasion)
        if done.failed is not None:
            raise StoppedError(done.text)
        return done.text

    async def _settled(self, response: Response) -> None:
        self._tell(await asyncio.to_thread(self._store.put, response))

    def _tell(self, response: Response) -> None:
        self._journal.note(
            "response",
            number=response.number,
            finding=response.finding,
            playbook=response.playbook,
            action=response.action,
            about=str(response.about),
            name=response.name,
            outcome=str(response.outcome),
            by=response.by,
            why=response.text,
        )


class _Line:
    """What waits to be told to one destination."""

    def __init__(
        self, kind: str, teller: Teller, settled: Callable[[Response], Coroutine[object, object, None]]
    ) -> None:
        self._kind = kind
        self._teller = teller
        self._settled = settled
        self._waiting: asyncio.Queue[tuple[Response, Kept]] = asyncio.Queue(ALERTS_WAITING_MAX)
        self._worker: asyncio.Task[None] | None = None
        self._is_closed = False

    async def put(self, response: Response, kept: Kept) -> None:
        """Has it told as soon as those before it are."""
        if self._is_closed or self._waiting.full():
            why = "the broker stops" if self._is_closed else f"{ALERTS_WAITING_MAX} alerts wait already"
            await self._settled(replace(response, outcome=Outcome.FAILED, text=why))
            return
        self._waiting.put_nowait((response, kept))
        if self._worker is None:
            self._worker = asyncio.create_task(self._work())

    async def aclose(self) -> None:
        """What is not told in a moment is not told."""
        self._is_closed = True
        with suppress(TimeoutError):
            async with asyncio.timeout(GOODBYE_S):
                await self._waiting.join()
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.gather(self._worker, return_exceptions=True)
        while not self._waiting.empty():
            response, _ = self._waiting.get_nowait()
            await self._settled(replace(response, outcome=Outcome.FAILED, text="the broker stopped"))
        await self._teller.aclose()

    async def _work(self) -> None:
        while True:
            response, kept = await self._waiting.get()
            try:
                await self._settled(await self._told(response, kept))
            finally:
                self._waiting.task_done()

    async def _told(self, response: Response, kept: Kept) -> Response:
        why = ""
        for attempt in range(ATTEMPTS_MAX):
            try:
                await self._teller.tell(kept)
            except NotReached as error:
                why = str(error)
                if attempt + 1 < ATTEMPTS_MAX:
                    await asyncio.sleep(PAUSE_S * 4**attempt)
            except ProviderUnavailable as error:
                return replace(response, outcome=Outcome.FAILED, text=str(error))
            else:
                return replace(response, text=f"{self._kind} was told")
        return replace(response, outcome=Outcome.FAILED, text=f"{why}, {ATTEMPTS_MAX} times")


def _now() -> datetime:
    return datetime.now(UTC)
