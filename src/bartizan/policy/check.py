"""The way from texts to what the engine loads: source, syntax, merge, validate, lint, compile."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from bartizan.policy.compiled import CompiledPolicy
from bartizan.policy.contract import Policy
from bartizan.policy.lint import lint
from bartizan.policy.merge import merge
from bartizan.policy.payload import is_schema
from bartizan.policy.payload_check import payload_problems
from bartizan.policy.source import Problem, read
from bartizan.policy.syntax import Tree, parse
from bartizan.policy.validate import validate


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What a text is: a policy, compiled, perhaps with warnings; or the errors in it."""

    policy: Policy | None
    compiled: CompiledPolicy | None
    errors: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    tree: Tree | None = None
    """The texts and where everything in them stands, of a good policy."""

    @property
    def ok(self) -> bool:
        """True if there is a policy to apply."""
        return self.compiled is not None


def check(text: str | bytes, origin: str, schemas: Mapping[str, bytes] | None = None) -> CheckResult:
    """Checks a policy's text. `origin` names it in messages. Never raises for what the text says."""
    return check_all([(origin, text), *(schemas or {}).items()])


def check_all(texts: Sequence[tuple[str, str | bytes]]) -> CheckResult:
    """Checks a policy of several texts, each with its origin: together they are one policy.

    Those whose origin ends as a schema's does are the files that its payloads name.
    """
    schemas = {origin: _octets(text) for origin, text in texts if is_schema(origin)}
    texts = [(origin, text) for origin, text in texts if origin not in schemas]
    if schemas and not texts:
        return _refused(
            *(Problem(origin, 1, 1, "this is a schema, and no policy is beside it", "") for origin in schemas)
        )
    trees: list[Tree] = []
    problems: list[Problem] = []
    for origin, text in texts:
        source = read(text, origin)
        tree = source if isinstance(source, Problem) else parse(source)
        if isinstance(tree, Problem):
            problems.append(tree)
        else:
            trees.append(tree)
    if problems:
        return _refused(*problems)
    merged = merge(trees)
    if isinstance(merged, tuple):
        return _refused(*merged)
    validated = validate(replace(merged, schemas=schemas))
    if validated.policy is None:
        return _refused(*sorted(validated.problems, key=lambda problem: problem.place))
    policy = validated.policy
    readable = {origin: content.decode(errors="replace") for origin, content in schemas.items()}
    if unfit := payload_problems(policy, readable):
        return _refused(*sorted(unfit, key=lambda problem: problem.place))
    return CheckResult(policy, CompiledPolicy.of(policy), (), lint(policy), merged)


def _refused(*problems: Problem) -> CheckResult:
    return CheckResult(None, None, problems, ())


def _octets(text: str | bytes) -> bytes:
    return text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
