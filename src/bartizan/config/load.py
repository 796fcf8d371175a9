"""The configuration file and `--set` -> Settings.

Errors become one `ConfigurationError`: what, where (file, line, key), how to fix it.
"""

import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bartizan.config.alerts import ALERT_KINDS
from bartizan.config.audit_sinks import SINK_KINDS
from bartizan.config.authenticators import KINDS
from bartizan.config.explain import explain
from bartizan.config.files import read_file
from bartizan.config.locate import line_of
from bartizan.config.metrics import OtlpMetrics, OtlpTraces
from bartizan.config.oidc import OidcSettings
from bartizan.config.schema import DEFAULT_LISTENERS, Settings
from bartizan.errors import ConfigurationError

PLACE_IN_TEXT = re.compile(r"(.*) \(at line (\d+), column (\d+)\)", re.DOTALL)
"""How tomllib ends its messages."""

COMMAND_LINE = "--set"
PATH_KEYS = ("certificate_file", "key_file", "client_ca_file", "crl_files")


def load_settings(file: Path | None = None, overrides: Sequence[str] = ()) -> Settings:
    """Settings of a TOML file (or the defaults) with `--set key=value` laid over them.

    A file that names listeners names all of them; one that names none gets the two default ones.
    """
    text = ""
    raw: dict[str, Any] = {}
    if file is not None:
        text = _decode(read_file(file, "the configuration file"), file)
        raw = _parse(text, file)
        _resolve(raw, file.parent)
    if "listeners" not in raw:
        raw["listeners"] = {name: dict(listener) for name, listener in DEFAULT_LISTENERS.items()}
    for override in overrides:
        _apply(raw, override)
    try:
        return Settings.model_validate(raw)
    except ValidationError as error:
        raise _translate(error, file, text, overrides) from None


def _decode(content: bytes, file: Path) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigurationError("the configuration is not UTF-8", f"{file}:{line}", "save it as UTF-8") from None


def _parse(text: str, file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        said = PLACE_IN_TEXT.fullmatch(str(error))
        what, place = (said[1], f"{file}:{said[2]}:{said[3]}") if said else (str(error), str(file))
        raise ConfigurationError(f"not valid TOML: {what}", place, "correct the line") from None


def _apply(raw: dict[str, Any], override: str) -> None:
    """Lays one `key=value` over the raw configuration. The value is TOML, or else plain text."""
    dotted, separator, value = override.partition("=")
    keys = dotted.strip().split(".")
    if not separator or not all(keys):
        raise ConfigurationError(f"{override!r} is no setting", COMMAND_LINE, "write it as section.key=value")
    table: Any = raw
    for key in keys[:-1]:
        table = table.setdefault(key, {})
        if not isinstance(table, dict):
            raise ConfigurationError(
                f"{key!r} in {dotted!r} is a value, not a section", COMMAND_LINE, "correct the key"
            )
    table[keys[-1]] = _typed(value)


def _typed(value: str) -> object:
    try:
        parsed = tomllib.loads(f"value = {value}\n")
    except tomllib.TOMLDecodeError:
        return value  # bare words and addresses: `--set listeners.mqtt.bind=127.0.0.1:1883`
    return parsed["value"] if set(parsed) == {"value"} else value


def _translate(error: ValidationError, file: Path | None, text: str, overrides: Sequence[str]) -> ConfigurationError:
    problems = error.errors(include_url=False)
    problem = problems[0]
    path = [part for part in problem["loc"] if part != "[key]"]
    if path[:1] == ["authenticators"] and path[2:3] and path[2] in KINDS:
        del path[2]  # the kind stands in the place of no key
    if path[:2] == ["audit", "sinks"] and path[3:4] and path[3] in SINK_KINDS:
        del path[3]
    if path[:1] == ["alerts"] and path[2:3] and path[2] in ALERT_KINDS:
        del path[2]
    what, fix = explain(problem, path)
    more = len(problems) - 1
    if more:
        fix += f"; then {more} more {'problem' if more == 1 else 'problems'}"
    return ConfigurationError(what, _where(path, file, text, overrides), fix)


def _where(path: Sequence[str | int], file: Path | None, text: str, overrides: Sequence[str]) -> str:
    dotted = ".".join(str(part) for part in path)
    for override in overrides if dotted else ():
        key = override.partition("=")[0].strip()
        if f"{key}.".startswith(f"{dotted}.") or dotted.startswith(f"{key}."):
            return f"{COMMAND_LINE} {override}"
    if file is None:
        return dotted or COMMAND_LINE
    line = line_of(text, [str(part) for part in path])
    place = f"{file}:{line}" if line else str(file)
    return f"{place}, {dotted}" if dotted else place


def _resolve(raw: dict[str, Any], base: Path) -> None:
    """Paths in a file are relative to that file, not to where the command was started."""
    tables: list[tuple[Any, tuple[str, ...]]] = [
        (raw.get("policy"), ("file",)),
        (raw.get("store"), ("identities_password_file",)),
        (raw.get("api"), ("certificate_file", "key_file")),
    ]
    listeners = raw["listeners"] if isinstance(raw.get("listeners"), dict) else {}
    tables += [(listener, PATH_KEYS) for listener in listeners.values()]
    authenticators = raw["authenticators"] if isinstance(raw.get("authenticators"), dict) else {}
    for table in authenticators.values():
        kind = KINDS.get(str(table.get("kind"))) if isinstance(table, dict) else None
        tables.append((table, getattr(kind, "PATHS", ())))
    alerts = raw["alerts"] if isinstance(raw.get("alerts"), dict) else {}
    for table in alerts.values():
        kind = ALERT_KINDS.get(str(table.get("kind"))) if isinstance(table, dict) else None
        tables.append((table, getattr(kind, "PATHS", ())))
    audit = raw["audit"] if isinstance(raw.get("audit"), dict) else {}
    sinks = audit["sinks"] if isinstance(audit.get("sinks"), dict) else {}
    for table in sinks.values():
        kind = SINK_KINDS.get(str(table.get("kind"))) if isinstance(table, dict) else None
        tables.append((table, getattr(kind, "PATHS", ())))
    metrics = raw["metrics"] if isinstance(raw.get("metrics"), dict) else {}
    tables += [(metrics.get("otlp"), OtlpMetrics.PATHS), (raw.get("traces"), OtlpTraces.PATHS)]
    api = raw["api"] if isinstance(raw.get("api"), dict) else {}
    tables.append((api.get("oidc"), OidcSettings.PATHS))
    for table, keys in tables:
        for key in keys if isinstance(table, dict) else ():
            value = table.get(key)
            if isinstance(value, str):
                table[key] = str(base / value)
            elif isinstance(value, list):
                table[key] = [str(base / item) if isinstance(item, str) else item for item in value]
