"""The files of a policy -> what they say. Of the broker this needs nothing: `bartizan policy check` starts with it alone."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from bartizan.config.files import read_file
from bartizan.config.policy_files import policy_files
from bartizan.errors import ConfigurationError, InvalidValue
from bartizan.policy import CheckResult, CompiledPolicy, check_all
from bartizan.policy.payload import is_schema, schema_files, schema_place


def check_files(named: Path | Sequence[Path]) -> CheckResult:
    """What the files say that `named` stands for: one policy, or its mistakes. Raises if one cannot be read."""
    return check_all(read_files(named))


def read_files(named: Path | Sequence[Path]) -> list[tuple[str, bytes]]:
    """These files with their contents, and behind them the schemas that they name. Raises if one cannot be read.

    A schema that is not there is none of them: `check` tells which one names it.
    """
    texts = [(str(file), read_file(file, "the policy file")) for file in policy_files(named)]
    schemas = [place for place in schema_files(texts) if Path(place).is_file()]
    return texts + [(place, read_file(Path(place), "the schema")) for place in schemas]


def by_name(texts: Sequence[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
    """These files by their names; a schema by its way from the file that names it."""
    schemas = {origin: content for origin, content in texts if is_schema(origin)}
    policies = [(origin, content) for origin, content in texts if origin not in schemas]
    found = [(Path(origin).name, content) for origin, content in policies]
    for origin, content in policies:
        for name in schema_files([("", content)]):
            place = schema_place(origin, name)
            if place in schemas:
                found.append((name, schemas[place]))
    return list(dict.fromkeys(found))


def each_once(contents: Sequence[tuple[str, bytes]]) -> dict[str, bytes]:
    """The same; `InvalidValue` if a name is there twice."""
    times = Counter(name for name, _ in contents)
    if twice := [name for name in times if times[name] > 1]:
        raise InvalidValue(
            f"two of the files have the same name ({', '.join(twice)}): in the policy's place there is room for one"
        )
    return dict(contents)


def read_policy(named: Path | Sequence[Path]) -> CompiledPolicy:
    """The compiled policy of these files, or a `ConfigurationError` with line and column of the first mistake."""
    result = check_files(named)
    if result.compiled is not None:
        return result.compiled
    raise refusal(result, named)


def refusal(result: CheckResult, named: Path | Sequence[Path]) -> ConfigurationError:
    """The first mistake of a policy as an error."""
    first = result.errors[0]
    more = len(result.errors) - 1
    others = f"; then {more} more (bartizan policy check {_spelt(named)})" if more else ""
    return ConfigurationError(
        first.message,
        f"{first.origin}:{first.line}:{first.column}",
        (first.hint or "correct the policy") + others,
    )


def _spelt(named: Path | Sequence[Path]) -> str:
    return str(named) if isinstance(named, Path) else " ".join(str(name) for name in named)
