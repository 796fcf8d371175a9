"""Whatever a runbook or a playbook may do takes the permission that it takes by itself."""

from typing import get_args

from bartizan.api.routes.runbooks import NEEDS
from bartizan.config.respond import Playbook
from bartizan.config.runbooks import Step


def test_every_step_takes_a_permission() -> None:
    assert set(get_args(Step.model_fields["action"].annotation)) == NEEDS.keys()


def test_everything_that_a_playbook_may_wait_to_do_takes_one() -> None:
    # An alert waits for nobody, and a runbook is its steps.
    acts = set(get_args(Playbook.model_fields["action"].annotation)) - {"alert", "runbook"}
    assert acts
    assert acts <= NEEDS.keys()
