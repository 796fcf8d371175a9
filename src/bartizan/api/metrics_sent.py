"""Sends Bartizan's own metrics, and spans of what operators ask for, to the collectors that the settings name.

Read in the event loop, where what is read lives; sent by a thread, so that a collector that hangs delays nobody.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from bartizan.api.metrics import BrokerCollector
from bartizan.api.spans import Spans
from bartizan.audit.sinks import NotDelivered
from bartizan.broker.app import Broker
from bartizan.broker.chores import installed_version
from bartizan.config.metrics import OtlpMetrics, OtlpTraces

# ruff: noqa: PLC0415  what sends is loaded where somebody is sent something

Request = dict[str, Any]
Tell = Callable[[str | None], None]
"""Is told why a collector does not take what it is sent; None when it does again."""


@asynccontextmanager
async def metrics_sent(broker: Broker) -> AsyncIterator[None]:
    """Sends metrics at every interval inside of the block, and once more at its end."""
    settings = broker.settings.metrics.otlp
    if settings is None:
        yield
        return

    def tell(why: str | None) -> None:
        if why is None:
            broker.journal.note("metrics_sent")
        else:
            broker.journal.note("metrics_not_sent", reason=why)

    collector = BrokerCollector(broker)
    async with _sending(Sender(settings, settings.metrics_url, lambda: _metrics(broker, collector), tell)):
        yield


@asynccontextmanager
async def spans_sent(broker: Broker, spans: Spans | None) -> AsyncIterator[None]:
    """Sends spans at every interval inside of the block, and the last ones at its end."""
    settings = broker.settings.traces
    if settings is None or spans is None:
        yield
        return

    def tell(why: str | None) -> None:
        if why is None:
            broker.journal.note("traces_sent")
        else:
            broker.journal.note("traces_not_sent", reason=why)

    async with _sending(Sender(settings, settings.traces_url, lambda: _spans(broker, spans), tell)):
        yield


@asynccontextmanager
async def _sending(sender: "Sender") -> AsyncIterator[None]:
    sending = asyncio.create_task(sender.run())
    try:
        yield
    finally:
        sending.cancel()
        with suppress(asyncio.CancelledError):
            await sending
        await sender.end()


class Sender:
    """Sends to one collector. What it does not take is not sent again."""

    def __init__(
        self, settings: OtlpMetrics | OtlpTraces, url: str, request: Callable[[], Request | None], tell: Tell
    ) -> None:
        from bartizan.audit.posting import Poster, headers_of

        self._request = request
        self._tell = tell
        self._interval_s = settings.interval_s
        self._headers = headers_of(settings.headers_file)
        self._poster = Poster(url, settings.ca_file, settings.deadline_s)
        self._failed = False

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            await asyncio.sleep(self._interval_s)
            await self.send()

    async def send(self) -> None:
        """Sends what there is now."""
        request = self._request()
        if request is None:
            return
        content = json.dumps(request).encode()
        try:
            await asyncio.to_thread(self._poster.post, content, self._headers)
        except NotDelivered as why:
            if not self._failed:
                self._tell(str(why))
            self._failed = True
            return
        if self._failed:
            self._tell(None)
        self._failed = False

    async def end(self) -> None:
        """Sends the last ones, unless nobody takes them."""
        if not self._failed:
            await self.send()
        self._poster.close()


def _metrics(broker: Broker, collector: BrokerCollector) -> Request:
    from bartizan.api.otlp import Span, request

    span = Span(int(broker.started_at.timestamp() * 1e9), time.time_ns())
    return request(collector.own(), _resource(broker), span)


def _spans(broker: Broker, spans: Spans) -> Request | None:
    from bartizan.api.spans import request

    taken = spans.take()
    return request(taken, _resource(broker)) if taken else None


def _resource(broker: Broker) -> dict[str, str]:
    return {
        "service.name": "bartizan",
        "service.instance.id": broker.settings.broker.name,
        "service.version": installed_version(),
    }
