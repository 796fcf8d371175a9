"""The way from a text to what the engine loads: source, syntax, validate, lint, compile."""

from dataclasses import dataclass

from bartizan.policy.compiled import CompiledPolicy
from bartizan.policy.contract import Policy
from bartizan.policy.lint import lint
from bartizan.policy.source import Problem, read
from bartizan.policy.syntax import parse
from bartizan.policy.validate import validate


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What a text is: a policy, compiled, perhaps with warnings; or the errors in it."""

    policy: Policy | None
    compiled: CompiledPolicy | None
    errors: tuple[Problem, ...]
    warnings: tuple[Problem, ...]

    @property
    def ok(self) -> bool:
        """True if there is a policy to apply."""
        return self.compiled is not None


def check(text: str | bytes, origin: str) -> CheckResult:
    """Checks a policy's text. `origin` names it in messages. Never raises for what the text says."""
    source = read(text, origin)
    if isinstance(source, Problem):
        return _refused(source)
    tree = parse(source)
    if isinstance(tree, Problem):
        return _refused(tree)
    validated = validate(tree)
    if validated.policy is None:
        return _refused(*validated.problems)
    return CheckResult(validated.policy, CompiledPolicy.of(validated.policy), (), lint(validated.policy))


def _refused(*problems: Problem) -> CheckResult:
    return CheckResult(None, None, problems, ())
