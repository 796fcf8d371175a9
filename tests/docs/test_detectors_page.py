"""The page of detectors has every one with its thresholds and technique; the detector that it shows is short and works."""

import importlib.util
import re
import ssl
import time
from socket import create_connection
from typing import Any

from bartizan.config.detect import DetectSettings
from bartizan.detect import Detector
from bartizan.detect.builtin import builtin_detectors, rules
from bartizan.store.findings import FindingStore
from bartizan.testing import Broker
from tests.conformance.packets import v311
from tests.conformance.received import Connack
from tests.conformance.wire import Wire
from tests.docs.markdown import ROOT

FILE = ROOT / "examples/detector/old_protocol.py"
PAGE = (ROOT / "docs/reference/detectors.md").read_text(encoding="utf-8")
ROWS = {
    cells[0].strip("` "): cells
    for line in PAGE.splitlines()
    if line.startswith("| `") and len(cells := [cell.strip() for cell in line.strip("|").split("|")]) == 5
}
WITHIN_S = 5.0


def test_every_detector_is_on_the_page_and_no_other() -> None:
    assert ROWS.keys() == {each.name for each in builtin_detectors(DetectSettings())}
    assert all(len(cells[4]) > 20 or cells[4].startswith("never") for cells in ROWS.values())


def test_every_threshold_is_on_the_page_with_its_detector() -> None:
    for rule in rules(DetectSettings()):
        named = re.findall(r"`(\w+_max)`", ROWS[rule.name][2])
        assert rule.most in {getattr(DetectSettings(), name) for name in named}
        assert rule.technique in ROWS[rule.name][3]
    thresholds = {name for name in DetectSettings.model_fields if name.endswith("_max")} - {"findings_max"}
    assert set(re.findall(r"`(\w+_max)`", " ".join(cells[2] for cells in ROWS.values()))) == thresholds


def example() -> Detector:
    spec = importlib.util.spec_from_file_location(FILE.stem, FILE)
    assert spec is not None
    assert spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.OldProtocol()


def test_the_example_finds_what_it_says() -> None:
    with Broker(detectors=[example()]) as broker:
        press = broker.enrol("press-01", role="press", site="chicago")
        trust = ssl.create_default_context(cafile=broker.ca_file)
        trust.load_cert_chain(str(press.certificate_file), press.key_file)
        stream = trust.wrap_socket(create_connection((broker.host, broker.port)), server_hostname=broker.host)
        with Wire(stream, dialect=v311) as client:
            client.send(v311.connect("press-01"))
            client.expect(Connack)
        store, ends = FindingStore(broker._running.data.findings), time.monotonic() + WITHIN_S
        while not store.findings() and time.monotonic() < ends:
            time.sleep(0.05)
        (kept,) = store.findings()
    assert kept.finding.text == "identity press-01 connected with MQTT 3.1.1"


def test_the_page_shows_this_file() -> None:
    code = [line for line in FILE.read_text().partition("class ")[2].splitlines()[2:] if line.strip()]
    shown = [line for line in PAGE.splitlines() if line.strip()]
    assert all(line in shown for line in code)


def test_it_detects_in_ten_lines() -> None:
    assert len(FILE.read_text().partition("class ")[2].splitlines()) <= 10
