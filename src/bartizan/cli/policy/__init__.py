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
stage     `stage`, `staged`, `unstage`: beside the one in force, on real traffic
learn     `learn`, `learned`: a contract of what clients do
promote   the staged policy in force
narrow    `advise`: what is granted and not needed
"""

from cyclopts import App

from bartizan.cli.policy.apply import apply, rollback
from bartizan.cli.policy.check import check
from bartizan.cli.policy.diff import diff
from bartizan.cli.policy.explain import explain
from bartizan.cli.policy.format import fmt
from bartizan.cli.policy.history import history
from bartizan.cli.policy.learn import begin, learned
from bartizan.cli.policy.lint import lint
from bartizan.cli.policy.narrow import advise
from bartizan.cli.policy.pages import docs, graph
from bartizan.cli.policy.promote import promote
from bartizan.cli.policy.stage import stage, staged, unstage
from bartizan.cli.policy.testing import run_tests
from bartizan.cli.policy.who import who

app = App(name="policy", help="Check, format, test, explain, compare and apply policies, and make pages of them.")

_VERBS = (
    check,
    fmt,
    lint,
    explain,
    who,
    diff,
    apply,
    history,
    rollback,
    stage,
    staged,
    unstage,
    promote,
    learned,
    advise,
)

for verb in (*_VERBS, docs, graph):
    app.command(verb)
app.command(run_tests, name="test")
app.command(begin, name="learn")
