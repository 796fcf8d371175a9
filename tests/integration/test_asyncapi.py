"""`bartizan policy docs --format asyncapi` is AsyncAPI 3.0 by AsyncAPI's own schema."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from bartizan.policy.default import default_policy_text
from tests.integration.conftest import run
from tests.left_out import require_directory, require_program
from tests.unit.policy.plant import PLANT

VALIDATOR = Path(__file__).parent / "node" / "asyncapi.mjs"
PAYLOADS = """\
[topics."data/{asset}/temperature"]
title     = "Temperature"
publish   = ["press"]
subscribe = ["dash"]
qos_max   = 1
payload   = { format = "json", schema = "t.json" }
examples  = ["71.5"]

[topics."data/{asset}/#"]
publish = ["press"]
payload = { format = "bytes" }

[topics."log/{asset}"]
publish = ["press"]
payload = { format = "text" }

[topics."alarms"]
subscribe = ["press", "dash"]

[roles.press]
binds = { asset = "client_id" }

[roles.dash]
"""


def mistakes(document: dict[str, Any]) -> list[str]:
    """What is wrong with it."""
    node = require_program("node", "nodejs")
    require_directory(VALIDATOR.parent / "node_modules" / "@asyncapi", "npm ci in tests/integration/node")
    said = subprocess.run(
        [node, VALIDATOR], input=json.dumps(document), capture_output=True, text=True, check=True, timeout=60
    )
    return said.stdout.splitlines()


def document_of(text: str, directory: Path) -> dict[str, Any]:
    """The document of this policy."""
    file = directory / "policy.toml"
    file.write_text(text)
    (directory / "t.json").write_text('{"type": "number"}')
    told = run("policy", "docs", file, "--format", "asyncapi")
    assert told.returncode == 0, told.stderr
    return json.loads(told.stdout)


@pytest.mark.parametrize("text", [PLANT, default_policy_text(), PAYLOADS, "[roles.nobody]\n"])
def test_the_document_of_a_policy_is_asyncapi(tmp_path, text):
    assert mistakes(document_of(text, tmp_path)) == []


def test_what_is_no_asyncapi_is_said_to_be_none(tmp_path):
    document = document_of(PAYLOADS, tmp_path)
    assert mistakes(document | {"channels": {"a": {"address": 1}}}) != []
    assert mistakes({key: value for key, value in document.items() if key != "info"}) != []
