"""One bounded request to somebody outside: no redirect, no proxy of the environment, no compression, no end of bytes."""

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx2

from bartizan.authn.base import ProviderUnavailable
from bartizan.errors import ConfigurationError


def trust(ca_file: Path | None) -> ssl.SSLContext:
    """Whose certificates are good: the system's CAs, or those of the file alone."""
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(f"the CA file cannot be used: {error}", str(ca_file), "name a PEM file") from None


class NotReached(ProviderUnavailable):
    """No connection came about, or the answer was 5xx: nobody has judged, so to ask again is no second opinion."""


class Declined(ProviderUnavailable):
    """The answer was 4xx: whoever was asked does not take what was sent."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What was answered, whole."""

    content: bytes
    headers: Mapping[str, str]


class Fetcher:
    """Requests to one provider. Whatever is no complete 200 in time is `ProviderUnavailable`."""

    def __init__(
        self,
        name: str,
        *,
        ca_file: Path | None,
        deadline_s: float,
        bytes_max: int,
        accept: str = "application/json",
    ) -> None:
        self._name = name
        self._deadline_s = deadline_s
        self._bytes_max = bytes_max
        self._accept = accept
        self._trust = trust(ca_file)
        self._client: httpx2.AsyncClient | None = None
        self._is_closed = False

    async def get(self, url: str) -> bytes:
        """The content at a URL."""
        return (await self._request("GET", url, {})).content

    async def post(self, url: str, form: Mapping[str, str], headers: Mapping[str, str]) -> bytes:
        """What is answered to a form."""
        return (await self._request("POST", url, headers, form=form)).content

    async def send(self, url: str, content: bytes, headers: Mapping[str, str]) -> Reply:
        """What is answered to a POST of these octets; `NotReached` where asking again is no harm."""
        return await self._request("POST", url, headers, content=content)

    async def aclose(self) -> None:
        """Closes connections; nothing is asked any more."""
        self._is_closed = True
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def _request(
        self,
        verb: str,
        url: str,
        headers: Mapping[str, str],
        *,
        form: Mapping[str, str] | None = None,
        content: bytes | None = None,
    ) -> Reply:
        if self._is_closed:
            raise ProviderUnavailable(f"{self._name} is not asked any more: the broker stops")
        client = self._client = self._client or httpx2.AsyncClient(
            verify=self._trust,
            follow_redirects=False,
            trust_env=False,
            timeout=self._deadline_s,
            headers={"accept": self._accept, "accept-encoding": "identity"},
        )
        try:
            async with (
                asyncio.timeout(self._deadline_s),
                client.stream(verb, url, headers=dict(headers), data=form, content=content) as response,
            ):
                return Reply(await self._content(response), response.headers)
        except TimeoutError:
            raise ProviderUnavailable(f"{self._name} did not answer within {self._deadline_s:g} s") from None
        except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
            raise NotReached(f"{self._name} cannot be asked: {type(error).__name__}") from None
        except (httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError) as error:
            # The error's text may hold what was sent; its kind is enough.
            raise ProviderUnavailable(f"{self._name} cannot be asked: {type(error).__name__}") from None

    async def _content(self, response: httpx2.Response) -> bytes:
        if response.is_server_error:
            raise NotReached(f"{self._name} answered {response.status_code}")
        if response.is_client_error:
            raise Declined(f"{self._name} answered {response.status_code}")
        if response.status_code != httpx2.codes.OK:
            raise ProviderUnavailable(f"{self._name} answered {response.status_code}")
        if response.headers.get("content-encoding", "identity") != "identity":
            raise ProviderUnavailable(f"{self._name} answered in an encoding that was not asked for")
        content = bytearray()
        async for chunk in response.aiter_raw():
            content += chunk
            if len(content) > self._bytes_max:
                raise ProviderUnavailable(f"{self._name} answered with more than {self._bytes_max} bytes")
        return bytes(content)
