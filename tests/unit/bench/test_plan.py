"""The table of scenarios, and what a command selects of it."""

import pytest

from bench.plan import PlanError, chosen, load_scenarios
from bench.rivals import Variant, rivals
from bench.run import turns


def test_the_table_has_a_run_for_every_variant():
    assert {scenario.variant for scenario in load_scenarios()} == set(Variant)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[[scenario]]\nname = "a"\ngroup = "g"\ntitle = "t"\nspeed = 1\n', "speed"),
        ('[[scenario]]\nname = "a"\ngroup = "g"\n', "title"),
        ('[[scenario]]\nname = "a"\ngroup = "g"\ntitle = "t"\nvariant = "fast"\n', "fast"),
        ('[[scenario]]\nname = "a"\ngroup = "g"\ntitle = "t"\nfigures = ["joy"]\n', "joy"),
        ('[[scenario]]\nname = "a"\ngroup = "g"\ntitle = "t"\n' * 2, "twice"),
    ],
)
def test_a_mistake_in_the_table_is_told(tmp_path, text, said):
    file = tmp_path / "scenarios.toml"
    file.write_text(text)
    with pytest.raises(PlanError, match=said):
        load_scenarios(file)


def test_a_selection_keeps_the_order_of_the_table_and_refuses_what_is_not_in_it():
    assert chosen("broker", ["a", "b", "c"], "c, a") == ["a", "c"]
    assert chosen("broker", ["a", "b"], None) == ["a", "b"]
    with pytest.raises(PlanError, match="no broker d"):
        chosen("broker", ["a"], "d")


def test_repetitions_are_outermost_and_each_begins_with_another_broker(tmp_path):
    brokers = list(rivals(tmp_path).values())[:3]
    scenarios = load_scenarios()[:2]
    order = [(turn.repetition, turn.scenario.name, turn.rival.name) for turn in turns(scenarios, brokers, 2)]
    first, second = order[:6], order[6:]
    assert [name for _, _, name in first] == [brokers[i].name for i in (0, 1, 2, 0, 1, 2)]
    assert [name for _, _, name in second] == [brokers[i].name for i in (1, 2, 0, 1, 2, 0)]
    assert [scenario for _, scenario, _ in first] == [scenarios[0].name] * 3 + [scenarios[1].name] * 3


def test_every_broker_runs_a_variant_or_says_why_not(tmp_path):
    for rival in rivals(tmp_path).values():
        for variant in Variant:
            refusal = rival.refusal(variant, "3.1.1")
            assert (refusal is None) == (variant in rival.variants)
    assert rivals(tmp_path)["nats"].refusal(Variant.PLAIN, "5") == "does not speak MQTT 5"
    assert rivals(tmp_path)["relay"].refusal(Variant.PLAIN, "3.1.1", "retained") == "it keeps no messages"
    assert rivals(tmp_path)["relay"].refusal(Variant.PLAIN, "3.1.1", "p1_q0_16") is None
