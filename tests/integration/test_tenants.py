"""Two tenants on one broker, with the clients that people use; and after a restart."""

import json
from pathlib import Path

import pytest

from tests.integration.conftest import place_of, run, started
from tests.integration.crew import AiomqttClient, Berth, Client, Got, PahoClient
from tests.integration.recorder import Proof, Will

POLICY = """
[tenants.acme]
root = "customers/acme"

[tenants.bolt]

[roles.crew]
client_id = ["identity", "press-*"]
permit    = [{ action = "all", filter = "#" }]
"""


def proofs(data: Path) -> dict[str, Proof]:
    """An identity of each tenant, and of none."""
    found: dict[str, Proof] = {}
    for name, more in (("anne", ("--attr", "tenant=acme")), ("bert", ("--attr", "tenant=bolt")), ("olga", ())):
        done = run(
            "enrol", name, "--role", "crew", "--data", data, "--password", "--json", "--out", data.parent / name, *more
        )
        assert done.returncode == 0, done.stderr
        found[name] = Proof(user_name=name, password=json.loads(done.stdout)["password"])
    return found


@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_two_tenants_and_an_operator(tmp_path, version):
    (tmp_path / "data").mkdir(mode=0o700)
    (tmp_path / "data" / "policy.toml").write_text(POLICY)
    with started() as start:
        up = start(tmp_path)
        of = proofs(up.data)
        place = place_of(up)
        made: list[Client] = []

        def client(
            kind: type[PahoClient] | type[AiomqttClient], who: str, name: str, will: Will | None = None
        ) -> Client:
            made.append(kind(Berth(place, of[who], name, version, True, will)))
            return made[-1]

        acme, bolt = client(PahoClient, "anne", "press-1"), client(AiomqttClient, "bert", "press-1")
        over = client(PahoClient, "olga", "olga")
        for each in (acme, bolt, over):
            each.subscribe("#", 1)
        acme.publish("state", b"of acme", 1, retain=True)
        bolt.publish("state", b"of bolt", 1, retain=True)
        assert acme.receive() == [Got("state", b"of acme", 1)]
        assert bolt.receive() == [Got("state", b"of bolt", 1)]
        assert {one.topic for one in over.receive(2)} == {"customers/acme/state", "bolt/state"}
        late = client(AiomqttClient, "anne", "press-2")
        late.subscribe("+", 1)
        assert late.receive() == [Got("state", b"of acme", 1, True)]
        client(PahoClient, "bert", "press-3", Will("gone", b"of bolt", 1)).drop()
        assert bolt.receive() == [Got("gone", b"of bolt", 1)]
        assert over.receive()[0].topic == "bolt/gone"
        over.publish("customers/acme/orders", b"o", 1)
        assert [each.receive()[0].topic for each in (acme, over)] == ["orders", "customers/acme/orders"]
        for each in made:
            each.close()
