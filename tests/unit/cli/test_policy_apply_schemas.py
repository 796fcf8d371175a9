"""`bartizan policy apply` and `rollback` of a policy with schemas: they are compared, written and recorded with it."""

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bartizan.broker.reading import check_files
from bartizan.cli.app import run
from bartizan.cli.first_run import prepare

POLICY = """\
[topics."data/{asset}/t"]
publish   = ["press"]
subscribe = ["press"]
enforce   = "reject"
payload   = { format = "json", schema = "schemas/press.json" }

[roles.press]
binds = { asset = "client_id" }
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    root = tmp_path / "data"
    asyncio.run(prepare(root, at=datetime.now(UTC)))
    return root


def new(tmp_path: Path, kind: str) -> Path:
    folder = tmp_path / "new"
    (folder / "schemas").mkdir(parents=True, exist_ok=True)
    (folder / "plant.toml").write_text(POLICY)
    (folder / "schemas/press.json").write_text(json.dumps({"type": kind}))
    return folder / "plant.toml"


def verb(name: str, *words: str | Path, data: Path) -> int:
    return run(["policy", name, *map(str, words), "--data", str(data)])


def misfit(data: Path) -> str | None:
    compiled = check_files(data / "policy.toml").compiled
    assert compiled is not None
    return compiled.examine("data/p/t", b"1").broken


def test_schemas_go_with_their_policy_and_come_back_with_it(data, tmp_path, capsys):
    assert verb("apply", new(tmp_path, "number"), "--yes", data=data) == 0
    assert json.loads((data / "schemas/press.json").read_text()) == {"type": "number"}
    assert misfit(data) is None
    capsys.readouterr()
    assert verb("apply", new(tmp_path, "string"), "--yes", data=data) == 0
    assert "~ data/{asset}/t: JSON by schemas/press.json (" in capsys.readouterr().out
    assert misfit(data) == "payload"
    assert verb("history", "--json", data=data) == 0
    newest = json.loads(capsys.readouterr().out)["versions"][0]
    assert newest["files"].keys() == {"policy.toml", "schemas/press.json"}
    assert verb("rollback", "--yes", data=data) == 0
    assert misfit(data) is None


def test_a_schema_changed_by_hand_is_a_policy_changed_by_hand(data, tmp_path, capsys):
    assert verb("apply", new(tmp_path, "number"), "--yes", data=data) == 0
    (data / "schemas/press.json").write_text('{"type": "string"}')
    capsys.readouterr()
    assert verb("apply", new(tmp_path, "number"), "--yes", data=data) != 0
    assert "schemas/press.json" in capsys.readouterr().err
    assert verb("rollback", "--take-over", "--yes", data=data) == 0
    assert misfit(data) is None


def test_a_schema_that_is_missing_or_wrong_is_refused_before_anything_changes(data, tmp_path, capsys):
    before = (data / "policy.toml").read_bytes()
    file = new(tmp_path, "nubmer")
    assert verb("apply", file, "--yes", data=data) == 2
    assert "press.json:1:" in capsys.readouterr().err
    (file.parent / "schemas/press.json").unlink()
    assert verb("apply", file, "--yes", data=data) == 2
    assert "there is no file" in capsys.readouterr().err
    assert (data / "policy.toml").read_bytes() == before
    assert not (data / "schemas").exists()
