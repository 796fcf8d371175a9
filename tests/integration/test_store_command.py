"""`bartizan store` on the store of a real broker: what goes out comes in again, and clients find all of it."""

import json
import shutil
import subprocess
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.conformance.packets import Will, v5
from tests.conformance.received import Publish, Pubrec, Suback
from tests.faults.ledger import Publisher, judge, read_all
from tests.faults.plant import connect, plant
from tests.security.process import COMMAND, Process

MESSAGES = 200


def store(verb: str, *words: str | Path, data: Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    """`bartizan store VERB`, which must end with this code."""
    command = [*COMMAND, "store", verb, *map(str, words), "--data", str(data)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == code, done.stdout + done.stderr
    return done


def fill(stack: ExitStack, broker: Process, publisher: Publisher) -> None:
    """Sessions, Subscriptions, queued and in-flight messages, Retained Messages, and a Will that waits."""
    dash = connect(stack, broker, "dash-01", "dash-01")
    dash.send(v5.subscribe(1, ("s/a/1", 1), ("s/a/2", 2), ("s/a/will", 1)))
    dash.expect(Suback)
    # In flight: it has them and acknowledges none.
    will = Will(topic="s/a/will", payload=b"1-0", qos=1, props={"will_delay_interval": 4})
    press = connect(stack, broker, "press-01", "press-01", will=will)
    press.send(v5.publish("s/a/2", b"2-0", qos=2, pid=60_001))
    press.expect(Pubrec)
    dash.expect(Publish, payload=b"2-0")
    dash.drop()
    publisher.work(press, messages=MESSAGES)
    publisher.settle(press)
    press.drop()
    broker.wait_for("disconnected", client_id="press-01")


def test_a_store_exported_and_imported_elsewhere_is_the_same_to_every_client(tmp_path: Path):
    first, second, publisher = tmp_path / "first", tmp_path / "second", Publisher()
    with ExitStack() as stack, plant(first) as broker:
        fill(stack, broker, publisher)
        assert broker.end() == 0
    file = tmp_path / "export.jsonl"
    counts = json.loads(store("export", file, "--json", data=first).stdout)
    report = json.loads(store("check", "--json", data=first).stdout)
    assert report["damage"] == []
    assert counts["queued"] == report["queued"] + report["in_flight"] == MESSAGES + 1 + report["in_flight"] - 1
    assert {name: counts[name] for name in ("sessions", "subscriptions", "received", "wills")} == {
        "sessions": 2,
        "subscriptions": 3,
        "received": 1,
        "wills": 1,
    }
    shutil.copytree(first, second, ignore=shutil.ignore_patterns("store", "*.sock", ".lock"))
    assert "imported from" in store("import", file, data=second).stdout
    with ExitStack() as stack, plant(second) as broker:
        seen = read_all(connect(stack, broker, "dash-01", "dash-01"), quiet_s=6)
        assert seen.pop(b"2-0") == 1, "in flight once, delivered again as the same message"
        assert seen.pop(b"1-0") == 1, "the Will was due after the move"
        assert judge(publisher, seen).is_good
        press = connect(stack, broker, "press-01", "press-01")
        press.send(v5.publish("s/a/2", b"2-0", qos=2, pid=60_001, dup=True))
        press.expect(Pubrec)
        late = connect(stack, broker, "dash-01", "dash-01-late")
        late.send(v5.subscribe(1, ("s/a/1", 1)))
        late.expect(Suback)
        assert int(late.expect(Publish, retain=True).payload[2:]) == publisher.retained
        assert read_all(connect(stack, broker, "dash-01", "dash-01")) == {}, "received once, and never again"


def test_a_running_broker_is_left_alone_and_named(tmp_path: Path):
    with plant(tmp_path / "data") as broker:
        file = tmp_path / "file"
        for words in (("check",), ("export", file), ("import", file), ("compact",)):
            done = store(words[0], *words[1:], data=broker.data, code=2)
            assert f"process {broker.pid}" in done.stderr
            assert done.stderr.count("\n") == 1
        assert not file.exists()


def test_import_does_not_touch_a_store_that_holds_something(tmp_path: Path):
    with ExitStack() as stack, plant(tmp_path / "data") as broker:
        connect(stack, broker, "dash-01", "dash-01")
        assert broker.end() == 0
    file = tmp_path / "file"
    store("export", file, data=tmp_path / "data")
    assert "is not empty" in store("import", file, data=tmp_path / "data", code=1).stderr
    assert json.loads(store("check", "--json", data=tmp_path / "data").stdout)["sessions"] == 1


def test_damage_is_named_by_file_and_offset_and_stops_the_start(tmp_path: Path):
    data = tmp_path / "data"
    publisher = Publisher()
    with ExitStack() as stack, plant(data) as broker:
        fill(stack, broker, publisher)
        broker.process.kill()
        broker.process.wait(60)
    (segment,) = sorted((data / "store").glob("*.wal"))[-1:]
    octets = bytearray(segment.read_bytes())
    at = octets.find(b"grp1", len(octets[: octets.rfind(b"grp1")]) // 2)
    octets[at + 40] ^= 0x10
    segment.write_bytes(octets)
    done = store("check", data=data, code=1)
    assert f"damaged: {segment} at offset {at}" in done.stderr
    report = json.loads(store("check", "--json", data=data, code=1).stdout)
    assert [(found["file"], found["offset"]) for found in report["damage"]] == [(str(segment), at)]
    for verb in (("export", tmp_path / "file"), ("compact",)):
        assert f"{segment.name} at offset {at}" in store(verb[0], *verb[1:], data=data, code=1).stderr
    start = subprocess.run(
        [*COMMAND, "up", "--data", str(data), "--set", "listeners.mqtts.bind=127.0.0.1:0", "--set", "api.bind=off"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert start.returncode == 2
    assert f"{segment.name} at offset {at}" in start.stderr


def test_compact_says_what_it_gave_back(tmp_path: Path):
    with plant(tmp_path / "data") as broker:
        assert broker.end() == 0
    sizes = json.loads(store("compact", "--json", data=tmp_path / "data").stdout)
    assert sizes["bytes_before"] >= sizes["bytes_after"] > 0
    assert "the index had" in store("compact", data=tmp_path / "data").stdout


@pytest.mark.parametrize("verb", ["check", "compact", "export", "import"])
def test_where_no_broker_was_set_up_one_line_says_so(tmp_path: Path, verb: str):
    words = (tmp_path / "file",) if verb in {"export", "import"} else ()
    done = store(verb, *words, data=tmp_path, code=2)
    assert "no broker was set up here" in done.stderr
    assert list(tmp_path.iterdir()) == []
