"""`bartizan policy`: what is done with policy files before a broker has them, and what is asked about them.

files     the policy files that are named, and options that verbs share
reading   what the verbs read of a data directory: its policy, its identities
check     every mistake, with line and column
format    `fmt`: one way to write it
lint      what is valid and probably not meant
testing   `test`: expectations in files
explain   why a request is allowed or denied
message   the message of a request, as options say it
who       who may publish or subscribe to a topic
diff      what two policies decide differently
pages     `docs` and `graph`: the contract for people and tools
preflight what is looked at before a policy is put in force
apply     another policy in force, and back again
history   which policies were in force
stage     `stage`, `staged`, `unstage`: beside the one in force, on real traffic
learn     `learn`, `learned`: a contract of what clients do
promote   the staged policy in force
there     the same at a broker elsewhere, by its API
narrow    `advise`: what is granted and not needed
"""

from bartizan.cli.verbs import Family, Verb

_VERBS = (
    Verb("check", "bartizan.cli.policy.check:check", "Check a policy: every problem with its line, column and a hint."),
    Verb(
        "fmt",
        "bartizan.cli.policy.format:fmt",
        "Write policy files in their one form: stable order, aligned, every comment kept.",
    ),
    Verb(
        "lint",
        "bartizan.cli.policy.lint:lint",
        "Find rules without effect, rights wider than meant, and roles nobody has.",
    ),
    Verb(
        "explain",
        "bartizan.cli.policy.explain:explain",
        "Tell what the policy decides, by which rule, and what would allow it; exit code 1 if it is denied or refused.",
    ),
    Verb(
        "who",
        "bartizan.cli.policy.who:who",
        "Tell which identities may publish or subscribe to a topic, each with the rule that lets it.",
    ),
    Verb(
        "diff",
        "bartizan.cli.policy.diff:diff",
        "Compare two policies by what they decide: what each role gains and loses, and what topics ask of messages.",
    ),
    Verb(
        "apply",
        "bartizan.cli.policy.apply:apply",
        "Put a policy in force: check, lint, test and compare it, record it, write it, have the broker load it.",
    ),
    Verb(
        "history",
        "bartizan.cli.policy.history:history",
        "List the versions of the policy, the newest first; `*` is the one in force.",
    ),
    Verb(
        "rollback",
        "bartizan.cli.policy.apply:rollback",
        "Put an earlier policy in force again; that is a version of its own in the history.",
    ),
    Verb(
        "stage",
        "bartizan.cli.policy.stage:stage",
        "Ask a new policy beside the one in force, for every real decision. It decides nothing.",
    ),
    Verb(
        "staged",
        "bartizan.cli.policy.stage:staged",
        "Tell what the staged policy would refuse or newly allow, by identity and topic. Exit code 1 if it would.",
    ),
    Verb(
        "unstage",
        "bartizan.cli.policy.stage:unstage",
        "Ask the staged policy no more. What it would have done can be read until the next one is staged.",
    ),
    Verb(
        "promote",
        "bartizan.cli.policy.promote:promote",
        "Put the staged policy in force, as `bartizan policy apply` does; refused if it would have decided otherwise.",
    ),
    Verb(
        "learned",
        "bartizan.cli.policy.learn:learned",
        "Write the contract of what was learned so far, and list all that it allows to everybody seen, for review.",
    ),
    Verb(
        "advise",
        "bartizan.cli.policy.narrow:advise",
        "Tell which grants nobody used, which were used for one topic alone, who is idle, and which roles are alike.",
    ),
    Verb(
        "docs",
        "bartizan.cli.policy.pages:docs",
        "Make a page of the contract: topics, units, who may write and who may read.",
    ),
    Verb(
        "graph",
        "bartizan.cli.policy.pages:graph",
        "Draw roles and topics as SVG: who writes on the left, who reads on the right.",
    ),
    Verb(
        "test",
        "bartizan.cli.policy.testing:run_tests",
        "Run the expectations beside a policy: `*.test.toml`, with what must be allowed and what denied.",
    ),
    Verb(
        "learn",
        "bartizan.cli.policy.learn:begin",
        "Note what clients of a listener do that the policy in force allows: topics, QoS, RETAIN. Nothing else changes.",
    ),
)

FAMILY = Family("policy", _VERBS, "Check, format, test, explain, compare and apply policies, and make pages of them.")
