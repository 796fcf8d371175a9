"""What letting clients in costs: each way is one that a broker takes, and figures are put as they are."""

import sqlite3
from collections import defaultdict
from contextlib import closing
from pathlib import Path

import pytest

from bartizan.config.load import load_settings
from bartizan.identity import hashes
from bench.judges import NAME, accounts_file
from bench.logins import ACCEPTED, crowd_table, table
from bench.proofs import KNOWN, NOBODY, WAYS, Way


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
def test_every_way_is_a_configuration_that_a_broker_takes(way: Way, tmp_path: Path):
    file = tmp_path / "bartizan.toml"
    words = defaultdict(
        lambda: "x",
        **{f"{name}_port": str(port) for port, name in enumerate(("issuer", "service", "directory", "responder"), 1)},
        suffix="dc=bench",
        database="postgresql://bench@/bench",
    )
    file.write_text(way.configuration(1883, words))
    settings = load_settings(file)
    assert list(settings.listeners) == ["mqtts" if way.is_tls else "mqtt"]
    assert settings.broker.success_remembered_s == way.remembered_s
    assert set(settings.authenticators) <= set(way.authentication.split(" + "))
    assert bool(settings.authenticators) == bool(way.table)


def test_a_way_is_counted_by_the_method_that_its_authenticators_prove_by():
    found = {way.name: way.proved_by for way in WAYS}
    told = {name: found[name] for name in ("nothing", "SCRAM-SHA-512", "JWT (PS256) as Password", KNOWN.name)}
    assert told == {
        "nothing": "anonymous", "SCRAM-SHA-512": "scram", "JWT (PS256) as Password": "jwt", KNOWN.name: "sql",
    }  # fmt: skip
    assert found["certificate + JWT (ES256)"] == "certificate+jwt"
    assert found["certificate, OCSP asked every time"] == "certificate"


def test_who_is_let_in_is_read_by_method_and_who_is_refused_is_not():
    text = (
        'bartizan_connect_seconds_count{listener="a",method="jwt",outcome="allowed"} 3\n'
        'bartizan_connect_seconds_count{listener="a",method="none",outcome="refused"} 4\n'
        'bartizan_connect_seconds_sum{listener="a",method="jwt",outcome="allowed"} 0.5\n'
    )
    assert ACCEPTED.findall(text) == [("jwt", "3")]


def test_names_are_told_apart():
    assert len({way.name for way in WAYS}) == len(WAYS)


def test_the_database_holds_two_hashes_of_the_one_password(tmp_path: Path):
    with closing(sqlite3.connect(accounts_file(tmp_path, "right"))) as database:
        ((name, *kept),) = database.execute("SELECT * FROM devices")
    assert name == NAME
    assert [hashes.shape(each) for each in kept] == [hashes.our_shape(), "$7$101"]
    for each in kept:
        assert hashes.verify(each, b"right")
        assert not hashes.verify(each, b"wrong")


def line(per_cpu_s: float) -> dict[str, object]:
    return {"per_cpu_s": per_cpu_s, "per_s": 500.0, "latency_us": {"p50": 1_500.0, "p99": 20_000.0}}


def test_the_table_has_the_median_its_spread_and_how_many_times_nothing_it_costs():
    shown = table({NOBODY.name: [line(20_000), line(30_000), line(10_000)], "slow": [line(100), line(50)]})
    assert shown.splitlines()[2:] == [
        "| nothing | 20,000 (10,000 to 30,000) | 0.05 ms, 1.0 times | 500 | 1.5 ms | 20.0 ms |",
        "| slow | 75 (50 to 100) | 13.33 ms, 266.7 times | 500 | 1.5 ms | 20.0 ms |",
    ]


def test_crowds_that_come_alike_are_one_row():
    crowd = {"way": "a", "label": "all at once", "per_s": 5_000.0, "broker_cpu_s": 1.0}
    shown = crowd_table([{**crowd, "seconds": 2.0}, {**crowd, "seconds": 3.0}, {**crowd, "way": "b", "seconds": 1.0}])
    assert shown.splitlines()[2:] == [
        "| a | all at once | 2.50 s (2.00 to 3.00) | 5,000 | 1.00 s |",
        "| b | all at once | 1.00 s (1.00 to 1.00) | 5,000 | 1.00 s |",
    ]
