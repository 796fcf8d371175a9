"""`bartizan policy`: what is done with policy files before a broker has them, and what is asked about them.

reading   opens policies, identities and sessions for the verbs
check     every mistake, with line and column
format    `fmt`: one way to write it
lint      what is valid and probably not meant
testing   `test`: expectations in files
explain   why a request is allowed or denied
who       who may publish or subscribe to a topic
diff      what two policies decide differently
pages     `docs` and `graph`: the contract for people and tools
preflight what is looked at before a policy is put in force
apply     another policy in force, and back again
history   which policies were in force
"""

from cyclopts import App

from bartizan.cli.policy.apply import apply, rollback
from bartizan.cli.policy.check import check
from bartizan.cli.policy.diff import diff
from bartizan.cli.policy.explain import explain
from bartizan.cli.policy.format import fmt
from bartizan.cli.policy.history import history
from bartizan.cli.policy.lint import lint
from bartizan.cli.policy.pages import docs, graph
from bartizan.cli.policy.testing import run_tests
from bartizan.cli.policy.who import who

app = App(name="policy", help="Check, format, test, explain, compare and apply policies, and make pages of them.")

for verb in (check, fmt, lint, explain, who, diff, apply, history, rollback, docs, graph):
    app.command(verb)
app.command(run_tests, name="test")
