"""The schema as a page: `python -m bartizan.config.reference > docs/reference/settings.md`."""

import inspect
import json
import sys
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from bartizan.config.alerts import EmailAlert, MqttAlert, SyslogAlert, WebAlert
from bartizan.config.api import ApiSettings
from bartizan.config.audit import AuditSettings
from bartizan.config.audit_sinks import SINK_KINDS
from bartizan.config.authenticators import KINDS, PasswordSettings
from bartizan.config.credentials import CredentialSettings
from bartizan.config.detect import DetectSettings
from bartizan.config.dynsec import DynsecSettings
from bartizan.config.limits import Limits
from bartizan.config.listener import Listener
from bartizan.config.metrics import MetricsSettings, OtlpMetrics, OtlpTraces
from bartizan.config.oidc import OidcSettings
from bartizan.config.passkeys import PasskeySettings
from bartizan.config.respond import Playbook
from bartizan.config.runbooks import Runbook, Step
from bartizan.config.schema import BrokerSettings, HttpSettings, LogSettings, PolicySettings, StoreSettings

HEAD = """# Settings

<!-- Made by `python -m bartizan.config.reference`; a test keeps it equal to the code. -->

`bartizan up` reads `bartizan.toml` of the data directory, or the file given by `--config`;
`--set section.key=value` lies over it. Paths in a file are relative to that file. An unknown key, a value
of the wrong type and a setting without effect are errors, not warnings: the broker says which line to
correct and does not start.

A setting that opens something up is called `danger_...`, takes the reason as its value, and is shown at
start, by `bartizan doctor` and in the metrics for as long as it is in force.

A configuration that names listeners names all of them. One that names none gets `mqtts` (`[::]:8883`) and
`wss` (`[::]:8443`, WebSocket), both with TLS.
"""

SECTIONS: tuple[tuple[str, type[BaseModel]], ...] = (
    ("[broker]", BrokerSettings),
    ("[listeners.NAME]", Listener),
    *((f'[authenticators.NAME] kind = "{kind}"', model) for kind, model in KINDS.items()),
    ("[passwords]", PasswordSettings),
    ("[credentials]", CredentialSettings),
    ("[limits]", Limits),
    ("[policy]", PolicySettings),
    ("[dynsec]", DynsecSettings),
    ("[store]", StoreSettings),
    ("[detect]", DetectSettings),
    ("[playbooks.NAME]", Playbook),
    ('[alerts.NAME] kind = "webhook" or "alertmanager"', WebAlert),
    ('[alerts.NAME] kind = "email"', EmailAlert),
    ('[alerts.NAME] kind = "syslog"', SyslogAlert),
    ('[alerts.NAME] kind = "mqtt"', MqttAlert),
    ("[runbooks.NAME]", Runbook),
    ("[[runbooks.NAME.steps]]", Step),
    ("[api]", ApiSettings),
    ("[api.passkeys]", PasskeySettings),
    ("[api.oidc]", OidcSettings),
    ("[audit]", AuditSettings),
    *((f'[audit.sinks.NAME] kind = "{kind}"', model) for kind, model in SINK_KINDS.items()),
    ("[http]", HttpSettings),
    ("[metrics]", MetricsSettings),
    ("[metrics.otlp]", OtlpMetrics),
    ("[traces]", OtlpTraces),
    ("[log]", LogSettings),
)


def _type_of(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return " \\| ".join(f"`{json.dumps(value)}`" for value in schema["enum"])
    if "anyOf" in schema:
        return " \\| ".join(_type_of(option) for option in schema["anyOf"] if option.get("type") != "null")
    if schema.get("type") == "array":
        return f"list of {_type_of(schema.get('items') or {})}"
    if "const" in schema:
        return f"`{json.dumps(schema['const'])}`"
    if "$ref" in schema or schema.get("type") == "object":
        return "table"
    words = {"string": "text", "integer": "integer", "number": "number", "boolean": "true or false"}
    word = "path" if schema.get("format") == "path" else words.get(str(schema.get("type")), "text")
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    high = schema.get("maximum")
    return f"{word}, {low} to {high}" if low is not None and high is not None and high < 2**53 else word


def _default_of(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=False) if field.default_factory is None else None
    if value is None:
        return "none"
    return f"`{json.dumps(list(value) if isinstance(value, tuple) else value)}`"


def _section(title: str, model: type[BaseModel]) -> str:
    properties = model.model_json_schema()["properties"]
    rows = [
        f"\n## {title}\n\n{inspect.cleandoc(model.__doc__ or '')}\n",
        "| key | type | default | effect |",
        "|---|---|---|---|",
    ]
    inherited = {name for base in model.__bases__ for name in getattr(base, "model_fields", ())}
    # What makes a kind this kind comes first.
    for name in sorted(model.model_fields, key=inherited.__contains__):
        field = model.model_fields[name]
        rows.append(f"| `{name}` | {_type_of(properties[name])} | {_default_of(field)} | {field.description} |")
    return "\n".join(rows) + "\n"


def settings_page() -> str:
    """The whole page."""
    limits_note = (
        "\n`[listeners.NAME.limits]` takes the same keys for one listener, but for "
        "`retained_messages_max` and `retained_bytes_max`, which bound the broker as a whole. A role may set "
        "narrower ones in the policy.\n"
    )
    pages = [_section(title, model) + (limits_note if model is Limits else "") for title, model in SECTIONS]
    return HEAD + "".join(pages)


if __name__ == "__main__":
    sys.stdout.write(settings_page())
