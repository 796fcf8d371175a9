"""The policy of a broker elsewhere: compared there, put in force, brought back, staged. The files are those named here."""

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bartizan.broker.log import escaped
from bartizan.broker.reading import by_name, each_once
from bartizan.cli.policy.files import good_texts
from bartizan.cli.policy.testing import expectations_of, read_tests
from bartizan.cli.remote import Remote, remote
from bartizan.config.policy_files import expectation_files
from bartizan.errors import InvalidValue, NotFound
from bartizan.policy.explain import Explainer

SHOWN_MAX = 20


@dataclass(frozen=True, slots=True)
class Way:
    """How it is put in force there."""

    server: str
    note: str
    takes_over: bool
    dry_run: bool
    yes: bool
    as_json: bool

    def body(self, **more: object) -> dict[str, object]:
        """As the API takes it."""
        return {"note": self.note, "takes_over": self.takes_over, **more}


def apply_there(way: Way, new: Sequence[Path], tests: Sequence[Path], *, strict: bool) -> int:
    """Compares there, asks, and puts it in force there; the exit code."""
    files = files_of(new, tests)
    if files is None:
        return 2
    with remote(way.server) as there:
        offer = there.post("/policy/diff", {"files": files})
        if not offer["tests"]["passed"] or (strict and offer["findings"]):
            return _told(way, offer, "not put in force: see above", code=1)
        if way.dry_run:
            return _told(way, offer, f"policy {offer['digest'][:12]} could be put in force", code=0)
        if not way.as_json:
            print("\n".join(map(escaped, _lines(offer))))
        return _put(
            way, there, f"Put policy {offer['digest'][:12]} in force", "/policy", way.body(files=files, strict=strict)
        )


def rollback_there(way: Way, number: int | None) -> int:
    """Brings an earlier policy back there; the exit code."""
    if way.dry_run:
        raise InvalidValue("--dry-run: a rollback there cannot be looked at before; `policy history` there names it")
    what = "Bring the policy before the one in force back" if number is None else f"Bring version {number} back"
    with remote(way.server) as there:
        return _put(way, there, what, "/policy/rollback", way.body(number=number))


def promote_there(way: Way, *, despite_differences: bool) -> int:
    """Puts what is staged there in force there; the exit code."""
    if way.dry_run:
        raise InvalidValue("--dry-run: `bartizan policy staged --server` tells what it would do")
    with remote(way.server) as there:
        staged = there.get("/policy/staged")["staged"]
        if staged is None:
            raise NotFound(f"no policy is staged at {way.server}: `bartizan policy stage --server` does it")
        body = way.body(digest=staged["digest"], despite_differences=despite_differences)
        what = f"Put the staged policy {staged['digest'][:12]} in force"
        return _put(way, there, what, "/policy/staged/promotion", body)


def files_of(new: Sequence[Path], tests: Sequence[Path] = ()) -> dict[str, str] | None:
    """The texts of a policy by name, with what is expected of it; raises if it is none.

    None, and the mistakes on standard error, if what is expected of it is wrong.
    """
    if not new:
        raise InvalidValue("name the new policy: a file, a directory or a pattern")
    texts, result = good_texts(new)
    beside = tests or expectation_files(new)
    if expectations_of(Explainer(result), beside) is None:
        return None
    # All of it was read as TOML or as a schema, so it is UTF-8.
    return {name: content.decode() for name, content in each_once([*by_name(texts), *read_tests(beside)]).items()}


def agreed(what: str, *, yes: bool, as_json: bool) -> bool:
    """Whether the operator wants it: `--yes`, or an answer at a terminal. Says so if not."""
    if yes:
        return True
    if not as_json and sys.stdin.isatty():
        print(f"{what}? [y/N] ", end="", flush=True)
        if sys.stdin.readline().strip().lower() in {"y", "yes"}:
            return True
    print("not put in force: say --yes", file=sys.stderr)
    return False


def _put(way: Way, there: Remote, what: str, path: str, body: Mapping[str, object]) -> int:
    if not agreed(f"{what} at {way.server}", yes=way.yes, as_json=way.as_json):
        return 1
    ask: Callable[[str, Mapping[str, object]], Any] = there.put if path == "/policy" else there.post
    done = ask(path, body)
    print(json.dumps(done) if way.as_json else done["outcome"])
    return 0


def _told(way: Way, offer: Mapping[str, Any], outcome: str, *, code: int) -> int:
    if way.as_json:
        print(json.dumps({**offer, "version": None, "outcome": outcome}))
    else:
        print("\n".join(map(escaped, [*_lines(offer), outcome])))
    return code


def _lines(offer: Mapping[str, Any]) -> Iterator[str]:
    for each in offer["findings"]:
        yield f"{each['origin']}:{each['line']}:{each['column']}: {each['code']}: {each['message']}"
    failed = [each for each in offer["tests"]["expectations"] if each["expected"] != each["decided"]]
    for each in failed:
        yield f"FAILED {each['file']}:{each['line']}  {each['test']}: {each['expected']} {each['request']}"
    changes = offer["changes"]
    if changes is None:
        yield "what is there is no policy, so there is nothing to compare with"
        return
    for what in ("roles", "identities", "sessions"):
        for each in changes[what][:SHOWN_MAX]:
            yield from _of(what, each)
        if len(changes[what]) > SHOWN_MAX:
            yield f"{len(changes[what]) - SHOWN_MAX} more (--json tells all)"
    for word in ("tenants", "messages"):
        yield from (f"  ~ {each['of']}: {each['before']} -> {each['after']}" for each in changes[word])
    if not any(changes.values()):
        yield "it decides as the one before"


def _of(what: str, each: Mapping[str, Any]) -> Iterator[str]:
    name = {"roles": ("role", ", ".join(each["roles"])), "identities": ("identity", each["identity"])}
    kind, of = name.get(what, ("session", each["client_id"]))
    yield f"{kind} {of}"
    for sign, found in (("+", each["gains"]), ("-", each["loses"])):
        yield from (f"  {sign} {one['action']} {one['filter']}  {one['file']}:{one['line']}" for one in found)
    yield from (f"  ~ {one['name']}: {one['before']} -> {one['after']}" for one in each["limits"])
    yield from (f"  ~ {one['of']}: {one['before']} -> {one['after']}" for one in each["terms"])
