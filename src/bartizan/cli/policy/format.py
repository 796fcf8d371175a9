"""`bartizan policy fmt`: one way to write a policy."""

import json
import tomllib
from pathlib import Path

from bartizan.cli.policy.files import Flag, Json
from bartizan.config.files import read_file
from bartizan.config.policy_files import policy_files
from bartizan.errors import ConfigurationError
from bartizan.policy.format import formatted


def fmt(*files: Path, check: Flag = False, json_output: Json = False) -> int:
    """Write policy files in their one form: stable order, aligned, every comment kept.

    Values and meaning stay as they are. A comment with an empty line below it begins a group: groups
    stay where they are, and only what is inside one is sorted.

    For example:

        bartizan policy fmt policy.toml

        bartizan policy fmt --check policy/

    Parameters
    ----------
    files
        Files, or directories of them. Default: policy.toml.
    check
        Change nothing; exit code 1 if a file would change.
    json_output
        Print one JSON object.
    """
    changed: list[str] = []
    for file in policy_files(files or (Path("policy.toml"),)):
        text = _text(file)
        new = _formatted(file, text)
        if new != text:
            changed.append(str(file))
            if not check:
                file.write_text(new, encoding="utf-8")
    if json_output:
        print(json.dumps({"changed": changed}))
    else:
        for name in changed:
            print(f"{name} {'would be' if check else 'was'} formatted")
    return 1 if check and changed else 0


def _text(file: Path) -> str:
    try:
        return read_file(file, "the policy file").decode()
    except UnicodeDecodeError:
        raise ConfigurationError("this is not UTF-8", str(file), "save the file as UTF-8") from None


def _formatted(file: Path, text: str) -> str:
    try:
        return formatted(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"not valid TOML: {error}", str(file), "run bartizan policy check") from None
