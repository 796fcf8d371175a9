"""Sends Bartizan's own metrics to an OpenTelemetry collector, where `[metrics.otlp]` names one.

Read in the event loop, where what is read lives; sent by a thread, so that a collector that hangs delays nobody.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from bartizan.api.metrics import BrokerCollector
from bartizan.audit.sinks import NotDelivered
from bartizan.broker.app import Broker
from bartizan.broker.chores import installed_version
from bartizan.config.metrics import OtlpMetrics

# ruff: noqa: PLC0415  what sends is loaded where somebody is sent something


@asynccontextmanager
async def metrics_sent(broker: Broker) -> AsyncIterator[None]:
    """Sends them at every interval inside of the block, and once more at its end."""
    settings = broker.settings.metrics.otlp
    if settings is None:
        yield
        return
    sender = Sender(broker, settings)
    sending = asyncio.create_task(sender.run())
    try:
        yield
    finally:
        sending.cancel()
        with suppress(asyncio.CancelledError):
            await sending
        await sender.end()


class Sender:
    """Sends to one collector. What it does not take is not sent again: the next figures hold it."""

    def __init__(self, broker: Broker, settings: OtlpMetrics) -> None:
        from bartizan.audit.posting import Poster, headers_of

        self._broker = broker
        self._collector = BrokerCollector(broker)
        self._interval_s = settings.interval_s
        self._headers = headers_of(settings.headers_file)
        self._poster = Poster(settings.metrics_url, settings.ca_file, settings.deadline_s)
        self._failed = False

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            await asyncio.sleep(self._interval_s)
            await self.send()

    async def send(self) -> None:
        """Sends what is so now."""
        content = json.dumps(self._request()).encode()
        try:
            await asyncio.to_thread(self._poster.post, content, self._headers)
        except NotDelivered as why:
            if not self._failed:
                self._broker.journal.note("metrics_not_sent", reason=str(why))
            self._failed = True
            return
        if self._failed:
            self._broker.journal.note("metrics_sent")
        self._failed = False

    async def end(self) -> None:
        """Sends the last ones, unless nobody takes them."""
        if not self._failed:
            await self.send()
        self._poster.close()

    def _request(self) -> dict[str, Any]:
        from bartizan.api.otlp import Span, request

        broker = self._broker
        span = Span(int(broker.started_at.timestamp() * 1e9), time.time_ns())
        resource = {
            "service.name": "bartizan",
            "service.instance.id": broker.settings.broker.name,
            "service.version": installed_version(),
        }
        return request(self._collector.own(), resource, span)
