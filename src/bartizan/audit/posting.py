"""POSTs to one place by HTTPS: no redirect, no proxy of the environment, an end to every wait."""

import json
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx2

from bartizan.audit.sinks import NotDelivered
from bartizan.config.files import read_secret_octets
from bartizan.errors import ConfigurationError


class Poster:
    """POSTs to one place; whatever is not answered by 2xx in time was not delivered."""

    def __init__(self, url: str, ca_file: Path | None, deadline_s: float) -> None:
        self._url = url
        try:
            trust = ssl.create_default_context(cafile=ca_file)
        except (OSError, ssl.SSLError) as error:
            raise ConfigurationError(f"the CA file cannot be used: {error}", str(ca_file), "name a PEM file") from None
        self._client = httpx2.Client(verify=trust, follow_redirects=False, trust_env=False, timeout=deadline_s)

    def post(self, content: bytes, headers: Mapping[str, str]) -> None:
        """Returns when it was taken."""
        try:
            answer = self._client.post(
                self._url, content=content, headers={"content-type": "application/json", **headers}
            )
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            # The error's text may hold what was sent; its kind is enough.
            raise NotDelivered(f"it cannot be reached: {type(error).__name__}") from None
        if not answer.is_success:
            raise NotDelivered(f"it answered {answer.status_code}")

    def close(self) -> None:
        """Closes connections."""
        self._client.close()


def headers_of(file: Path | None) -> dict[str, str]:
    """The headers in a file, `Name: value` a line."""
    if file is None:
        return {}
    found: dict[str, str] = {}
    for line in read_secret_octets(file, "the headers of the collector").decode(errors="replace").splitlines():
        name, colon, value = line.partition(":")
        if not colon or not name.strip() or not value.strip():
            raise ConfigurationError("a line is no header", str(file), "write it as Name: value")
        found[name.strip()] = value.strip()
    return found


def otlp_attribute(key: str, value: object) -> dict[str, Any]:
    """An attribute as OTLP has it in JSON."""
    match value:
        case bool():
            told: dict[str, Any] = {"boolValue": value}
        case int():
            told = {"intValue": str(value)}
        case str():
            told = {"stringValue": value}
        case _:
            told = {"stringValue": json.dumps(value)}
    return {"key": key, "value": told}
