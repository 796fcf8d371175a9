"""`bartizan policy lint`: what is valid, and probably not meant."""

import json
from pathlib import Path

from bartizan.cli.policy.check import plain
from bartizan.cli.policy.files import Flag, Json, good
from bartizan.cli.policy.reading import counted, stored
from bartizan.policy.advice import advise


def lint(*files: Path, data: Path | None = None, strict: Flag = False, json_output: Json = False) -> int:
    """Find rules without effect, rights wider than meant, and roles nobody has.

    Each finding has a code; `# lint: allow CODE` on its line, or on the line above, says that it is meant.

    For example:

        bartizan policy lint policy.toml

        bartizan policy lint policy/ --data bartizan-data --strict

    Parameters
    ----------
    files
        The policy: files or directories of them, which together are one. Default: policy.toml.
    data
        A data directory, to whose identities the policy is compared.
    strict
        Exit code 1 when there is a finding.
    json_output
        Print one JSON object.
    """
    result = good(files or (Path("policy.toml"),))
    findings = advise(result, None if data is None else stored(data))
    if json_output:
        print(json.dumps({"findings": plain(findings)}))
    else:
        for finding in findings:
            print(f"{finding.origin}:{finding.line}:{finding.column}: {finding.code}: {finding.message}")
            print(f"    {finding.hint}")
        print(counted(len(findings), "finding", "findings") if findings else "nothing to mend")
    return 1 if strict and findings else 0
