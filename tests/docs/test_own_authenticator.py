"""The authenticator that the guide shows is the one in examples/, is short, and does what is said."""

import hmac
import importlib.util
import ssl
from pathlib import Path
from socket import create_connection
from types import ModuleType

import pytest

from bartizan.testing import Broker
from tests.conformance.packets import v5
from tests.conformance.received import Auth, Connack
from tests.conformance.wire import Wire
from tests.docs.markdown import ROOT

FILE = ROOT / "examples/authenticator/countersign.py"
GUIDE = ROOT / "docs/guides/own-authenticator.md"
METHOD = "COUNTERSIGN"


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("key", "reason"), [(b"right", 0), (b"wrong", 0x87)])
def test_it_lets_in_who_knows_the_key(key: bytes, reason: int) -> None:
    authenticator = load(FILE).Countersign("press-01", b"right", role="press")
    with Broker(authenticators=[authenticator]) as broker:
        trust = ssl.create_default_context(cafile=broker.ca_file)
        stream = trust.wrap_socket(create_connection((broker.host, broker.port)), server_hostname=broker.host)
        with Wire(stream) as client:
            client.send(v5.connect("press-01", props={"authentication_method": METHOD}))
            nonce = client.expect(Auth, reason=0x18).properties["authentication_data"]
            assert isinstance(nonce, bytes)
            proof = hmac.digest(key, nonce, "sha256")
            client.send(v5.auth(0x18, {"authentication_method": METHOD, "authentication_data": proof}))
            client.expect(Connack, reason=reason)


def test_the_guide_shows_this_file() -> None:
    code = [line for line in FILE.read_text().partition("class ")[2].splitlines()[2:] if line.strip()]
    shown = [line for line in GUIDE.read_text().splitlines() if line.strip()]
    assert all(line in shown for line in code)


def test_it_decides_in_ten_lines() -> None:
    decides = FILE.read_text().partition("async def")[2].splitlines()
    assert len(decides) <= 10
