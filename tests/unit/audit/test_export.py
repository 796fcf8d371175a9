"""Exports: each form says what the record says, and no value breaks out of its place."""

import csv
import io
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from bartizan.audit.export import COLUMNS, FORMATS
from bartizan.audit.ocsf import ACCOUNT, API, AUTHENTICATION, BASE, ENTITY, GROUP
from bartizan.audit.record import GENESIS, Entry, Kind, hash_of, line_of
from bartizan.model.actor import Actor

AT = datetime(2026, 11, 21, 12, 30, tzinfo=UTC)
NASTY = 'a"b\\c|d=e\nf,g'


def made(entry: Entry, log: str = "changes") -> dict[str, Any]:
    return json.loads(line_of(entry.fields(log, 7, AT, GENESIS)).content)


def change(what: str, target: str = "identity/press-01", **words: Any) -> dict[str, Any]:
    return made(Entry(Kind.CHANGE, what, Actor("anna", "10.0.0.7:5001"), target, **words))


def event(what: str, severity: str = "warning", **words: Any) -> dict[str, Any]:
    detail = {"severity": severity, "count": 3}
    actor = Actor("press-01", "[2001:db8::7]:5001")
    return made(Entry(Kind.EVENT, what, actor, "client/press-01", detail=detail, **words), "events")


def lines(form: str, *found: dict[str, Any]) -> list[str]:
    return list(FORMATS[form](found))


def test_json_is_what_was_written_so_that_hashes_hold():
    record = change("identity.set", why=NASTY)
    [line] = lines("json", record)
    assert json.loads(line) == record
    assert hash_of(json.loads(line)) == record["hash"]


def test_csv_has_a_column_for_everything_and_a_line_for_each():
    record = change("identity.set", why=NASTY, after={"note": NASTY})
    text = "".join(lines("csv", record, record))
    head, first, second = list(csv.reader(io.StringIO(text)))
    assert tuple(head) == COLUMNS
    assert record.keys() <= set(COLUMNS)
    told = dict(zip(head, first, strict=True))
    assert (told["why"], json.loads(told["after"]), told["seq"]) == (NASTY, {"note": NASTY}, "7")
    assert first == second


@pytest.mark.parametrize("text", ['=HYPERLINK("x")', "+1", "-1", "@x"])
def test_no_cell_of_csv_is_a_formula(text):
    rows = list(csv.reader(io.StringIO("".join(lines("csv", change("identity.set", why=text))))))
    assert rows[1][COLUMNS.index("why")] == f"'{text}"


def test_cef_is_one_line_whose_values_stay_in_their_places():
    [line] = lines("cef", change("identity.set", f"identity/{NASTY}", why=NASTY))
    assert line.count("\n") == 1
    assert line.startswith("CEF:0|Bartizan|Bartizan|")
    assert "|identity.set|identity.set|3|" in line
    assert "src=10.0.0.7 " in line
    assert 'reason=a"b\\\\c|d\\=e\\nf,g' in line


def test_cef_tells_addresses_without_ports_and_how_bad_it_is():
    [line] = lines("cef", event("refused"))
    assert "src=2001:db8::7 " in line
    assert "|refused|refused|6|" in line


@pytest.mark.parametrize(
    ("record", "kind", "activity"),
    [
        (change("identity.add"), ACCOUNT, 1),
        (change("identity.set"), ACCOUNT, 99),
        (change("identity.remove"), ACCOUNT, 6),
        (change("credential.revoke"), ACCOUNT, 99),
        (change("operator.add", "operator/alice"), ACCOUNT, 1),
        (change("group.add", "group/line-3"), GROUP, 6),
        (change("policy.apply", "policy"), ENTITY, 3),
        (event("refused"), AUTHENTICATION, 1),
        (event("connected", "info"), AUTHENTICATION, 1),
        (event("denied"), API, 99),
        (event("limit_met"), BASE, 99),
    ],
)
def test_ocsf_has_what_its_class_requires(record, kind, activity):
    [line] = lines("ocsf", record)
    told = json.loads(line)
    assert (told["class_uid"], told["category_uid"], told["activity_id"]) == (kind.uid, kind.category, activity)
    assert told["type_uid"] == kind.uid * 100 + activity
    assert told["time"] == AT.timestamp() * 1000
    assert told["metadata"]["version"] == "1.5.0"
    assert told["metadata"]["product"]["name"] == "Bartizan"
    assert ("activity_name" in told) == (activity == 99)
    required = {
        ACCOUNT.uid: {"user"},
        GROUP.uid: {"group"},
        ENTITY.uid: {"entity"},
        AUTHENTICATION.uid: {"user", "service"},
        API.uid: {"actor", "api", "src_endpoint"},
    }
    assert required.get(kind.uid, set()) <= told.keys()
    assert told["unmapped"] == record


@pytest.mark.parametrize(
    ("told", "address"),
    [
        ("10.0.0.7:5001", "10.0.0.7"),
        ("10.0.0.7", "10.0.0.7"),
        ("[2001:db8::7]:5001", "2001:db8::7"),
        ("2001:db8::7", "2001:db8::7"),
    ],
)
def test_ocsf_tells_who_was_denied_and_from_where_with_a_port_or_without(told, address):
    denied = Entry(Kind.EVENT, "operator_denied", Actor("olga", told), detail={"severity": "warning", "outcome": "403"})
    [found] = map(json.loads, lines("ocsf", made(denied, "events")))
    assert (found["class_uid"], found["status"], found["severity"]) == (API.uid, "Failure", "Medium")
    assert (found["actor"]["user"]["name"], found["src_endpoint"]["ip"]) == ("olga", address)


def test_ocsf_tells_failure_severity_and_count():
    failed = made(Entry(Kind.OUTCOME, "identity.add", Actor("anna"), outcome="failed", of=(1, 1), why="exists"))
    [told] = map(json.loads, lines("ocsf", failed))
    assert (told["status"], told["severity"], told["message"]) == ("Failure", "Medium", "identity.add failed exists")
    [told] = map(json.loads, lines("ocsf", event("denied", "error")))
    assert (told["severity_id"], told["count"]) == (4, 3)


def test_checkpoints_are_no_events_of_others():
    record = made(Entry(Kind.CHECKPOINT, "audit.checkpoint"))
    assert lines("ocsf", record) == lines("cef", record) == []
