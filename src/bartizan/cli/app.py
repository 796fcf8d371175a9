"""The verbs, their exit codes and how errors look: one line on standard error.

0: done. 1: it failed. 2: what was written (command line, configuration, policy) is wrong.
"""

import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

from cyclopts import App, CycloptsError

from bartizan.cli import policy
from bartizan.cli.verbs import Family, Verb, add
from bartizan.errors import BartizanError

VERBS: tuple[Verb | Family, ...] = (
    Verb(
        "up",
        "bartizan.cli.up:up",
        "Start the broker. The first start makes a CA, a policy, an administrator and two demo identities.",
    ),
    Verb(
        "enrol",
        "bartizan.cli.enrol:enrol",
        "Make an identity and the bundle it connects with. A running broker knows it at once.",
    ),
    Verb(
        "passwd",
        "bartizan.cli.passwd:passwd",
        "Give an identity a new password; all its earlier passwords and SCRAM keys end.",
    ),
    Verb("identity", "bartizan.cli.identity:app", "Show, add, change, remove, import or export identities."),
    Verb("group", "bartizan.cli.group:app", "Show, add, change or remove groups: who is in one has its roles."),
    Verb("role", "bartizan.cli.role:app", "Show the policy's roles and who has them; grant or revoke them."),
    Verb("credential", "bartizan.cli.credential:app", "List, rotate or revoke what proves identities."),
    Verb(
        "revoke",
        "bartizan.cli.revoke:revoke",
        "Revoke identities: cut their connections, end their Sessions and credentials, suppress their Wills. At once.",
    ),
    Verb(
        "quarantine",
        "bartizan.cli.quarantine:quarantine",
        "Put identities into quarantine: they stay connected, in the policy's role `quarantine` alone. At once.",
    ),
    Verb(
        "release",
        "bartizan.cli.quarantine:release",
        "Release identities from quarantine: they have their roles again, and connect and subscribe anew.",
    ),
    Verb(
        "ban",
        "bartizan.cli.ban:app",
        "Ban who may not connect, whatever proves it: an identity, a certificate, a Client Identifier, an address.",
    ),
    Verb(
        "throttle",
        "bartizan.cli.throttle:app",
        "Have an identity publish more slowly for a while than its roles let it.",
    ),
    Verb("runbook", "bartizan.cli.runbook:app", "Run steps against one identity or address, one after the other."),
    Verb("operator", "bartizan.cli.operator:app", "The people who run the broker: roles, passwords, second factors."),
    policy.FAMILY,
    Verb(
        "audit",
        "bartizan.cli.audit:app",
        "Show, search, follow, export and verify the record of changes and events.",
    ),
    Verb(
        "store",
        "bartizan.cli.store:app",
        "Check, export, import or compact what the broker keeps on disk. No broker may run on it meanwhile.",
    ),
    Verb(
        "import",
        "bartizan.cli.import_:app",
        "Carry the policy and the identities of another broker over, and tell what changes.",
    ),
    Verb(
        "dynsec",
        "bartizan.cli.dynsec:dynsec",
        "Carry out commands of Mosquitto's dynamic security: what was written for its plugin works on this broker.",
    ),
    Verb("denials", "bartizan.cli.denials:app", "Show what the policy refused, and propose the smallest grant for it."),
    Verb(
        "events",
        "bartizan.cli.events:events",
        "Show events as they happen, whatever the level of the log is, until Ctrl-C or the end of the login.",
    ),
    Verb("findings", "bartizan.cli.findings:app", "Show what detectors found; acknowledge it, or mute it for a while."),
    Verb("response", "bartizan.cli.response:app", "Show what playbooks did or would do; confirm what waits."),
    Verb(
        "login",
        "bartizan.cli.login:login",
        "Log in at a broker elsewhere: verbs with --server act there as this operator until the login ends.",
    ),
    Verb(
        "logout",
        "bartizan.cli.login:logout",
        "Log out at a broker elsewhere. What is kept of the login is forgotten, also where the broker does not answer.",
    ),
    Verb(
        "approval",
        "bartizan.cli.approval:app",
        "What takes two operators and waits for the second one: at a broker elsewhere.",
    ),
    Verb("clients", "bartizan.cli.clients:clients", "Show who is connected, with rates over one second."),
    Verb(
        "client",
        "bartizan.cli.connected:app",
        "List and show who is connected; disconnect one. See also clients, which shows rates.",
    ),
    Verb(
        "broker",
        "bartizan.cli.running:app",
        "What a running broker says of itself: status, listeners, traces, settings, metrics.",
    ),
    Verb(
        "session",
        "bartizan.cli.session:app",
        "Show Sessions, and discard them: Subscriptions, queue, Will, denials of their client.",
    ),
    Verb("subscription", "bartizan.cli.subscription:app", "List Subscriptions of all Sessions: who gets what."),
    Verb("retained", "bartizan.cli.retained:app", "List, show or remove Retained Messages by Topic Filter."),
    Verb("topic", "bartizan.cli.topic:app", "Show which topics there are, and what is at each."),
    Verb(
        "trace",
        "bartizan.cli.trace:trace",
        "Show the packets of one client as they pass, also over its next connections. It is on record who looked.",
    ),
    Verb(
        "watch",
        "bartizan.cli.watch:watch",
        "Watch a broker live: rates, clients, denials, findings, responses that wait; and act on what is seen.",
    ),
    Verb(
        "doctor",
        "bartizan.cli.doctor:doctor",
        "Show what is exposed, every danger_* with its reason, and what needs care. Changes nothing.",
    ),
    Verb("pub", "bartizan.cli.publish:publish", "Publish a message. Without -m it is read from standard input."),
    Verb("sub", "bartizan.cli.subscribe:subscribe", "Subscribe and print the payload of each message, a line each."),
    Verb(
        "bench",
        "bartizan.cli.bench:app",
        "Measure an MQTT broker, this one or any other: messages per second of its CPU, every message verified.",
    ),
    Verb("completion", "bartizan.cli.completion:completion", "Print the completion script of a shell."),
)


def _version() -> str:
    try:
        return version("bartizan")
    except PackageNotFoundError:
        return "unknown (not installed)"


def build_app(words: Sequence[str] = ()) -> App:
    """The command line, for a call with these words."""
    app = App(
        name="bartizan",
        help="Bartizan, a secure MQTT broker.",
        version=_version,
        result_action="return_value",
    )
    return add(app, VERBS, [word for word in words if not word.startswith("-")])


def main(tokens: Sequence[str] | None = None) -> None:
    """Entry point of the command `bartizan`: runs a verb and exits with its code."""
    sys.exit(run(tokens))


def run(tokens: Sequence[str] | None = None) -> int:
    """Runs a verb; its exit code."""
    try:
        words = list(sys.argv[1:] if tokens is None else tokens)
        result = build_app(words)(words, exit_on_error=False, print_error=True)
    except CycloptsError:
        return 2
    except BartizanError as error:
        from bartizan.broker.log import escaped  # noqa: PLC0415  what goes well needs none of it

        # What a peer or a server chose may stand in it, and moves no cursor.
        print(f"bartizan: {escaped(' '.join(str(error).split()))}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader went away (`| head`): nobody is left to tell.
        sys.stderr.close()
        return 1
    return result if isinstance(result, int) and not isinstance(result, bool) else 0
