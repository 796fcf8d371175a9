"""The verbs, their exit codes and how errors look: one line on standard error.

0: done. 1: it failed. 2: what was written (command line, configuration, policy) is wrong.
"""

import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

from cyclopts import App, CycloptsError

from bartizan.errors import BartizanError

VERBS: tuple[tuple[str, str], ...] = (
    ("up", "bartizan.cli.up:up"),
    ("enrol", "bartizan.cli.enrol:enrol"),
    ("passwd", "bartizan.cli.passwd:passwd"),
    ("identity", "bartizan.cli.identity:app"),
    ("group", "bartizan.cli.group:app"),
    ("role", "bartizan.cli.role:app"),
    ("credential", "bartizan.cli.credential:app"),
    ("operator", "bartizan.cli.operator:app"),
    ("policy", "bartizan.cli.policy:app"),
    ("store", "bartizan.cli.store:app"),
    ("import", "bartizan.cli.import_:app"),
    ("denials", "bartizan.cli.denials:app"),
    ("clients", "bartizan.cli.clients:clients"),
    ("doctor", "bartizan.cli.doctor:doctor"),
    ("pub", "bartizan.cli.publish:publish"),
    ("sub", "bartizan.cli.subscribe:subscribe"),
    ("bench", "bartizan.cli.bench:app"),
    ("completion", "bartizan.cli.completion:completion"),
)
"""Name, and where it is: imported only when it is called."""


def _version() -> str:
    try:
        return version("bartizan")
    except PackageNotFoundError:
        return "unknown (not installed)"


def build_app(*, complete: bool = False) -> App:
    """The command line. `complete` imports every verb, for the list of all of them."""
    app = App(
        name="bartizan",
        help="Bartizan, a secure MQTT broker.",
        version=_version,
        result_action="return_value",
    )
    for name, target in VERBS:
        app.command(target, name=name)
        if complete:
            app[name]
    return app


def main(tokens: Sequence[str] | None = None) -> None:
    """Entry point of the command `bartizan`: runs a verb and exits with its code."""
    sys.exit(run(tokens))


def run(tokens: Sequence[str] | None = None) -> int:
    """Runs a verb; its exit code."""
    try:
        words = list(sys.argv[1:] if tokens is None else tokens)
        asks_for_list = not words or words[0] in {"-h", "--help"}
        result = build_app(complete=asks_for_list)(words, exit_on_error=False, print_error=True)
    except CycloptsError:
        return 2
    except BartizanError as error:
        print(f"bartizan: {' '.join(str(error).split())}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader went away (`| head`): nobody is left to tell.
        sys.stderr.close()
        return 1
    return result if isinstance(result, int) and not isinstance(result, bool) else 0
