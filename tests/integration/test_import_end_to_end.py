"""A plant moves: Mosquitto's files are imported, Bartizan starts with them, and the same clients go on with their old passwords."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

from bartizan.cli.app import run
from bartizan.cli.first_run import prepare
from bench.ports import free_ports
from tests.integration.real_mosquitto import Client, connected, hashed, may_publish, mosquitto, subscribe
from tests.left_out import require_program
from tests.security.process import running

ACL = "user dash\ntopic read data/#\npattern write data/%u/#\npattern deny data/%u/locked\n"
TOPICS = ("data/press/a", "data/press/locked", "data/dash/a", "other")
PRESS, DASH, STRANGER = Client("press", "press", "pw"), Client("dash", "dash", "pw"), Client("press", "press", "wrong")


def seen(port: int) -> tuple[object, ...]:
    """What the clients of the plant may do there."""
    with connected(port, STRANGER) as stranger:
        let_in = stranger is not None
    with connected(port, PRESS) as press, connected(port, DASH) as dash:
        assert press is not None
        assert dash is not None
        granted = [reason < 0x80 for reason in subscribe(dash, ["data/#"])]
        return let_in, granted, may_publish(press, TOPICS), may_publish(dash, TOPICS)


def test_a_plant_that_moves_from_mosquitto_goes_on_as_before(tmp_path: Path, capsys) -> None:
    require_program("mosquitto", "mosquitto")
    passwords = "".join(f"{user}:{kept}\n" for user, kept in hashed(["press", "dash"]).items())
    with mosquitto(tmp_path / "there", acl=ACL.encode(), passwords=passwords, anonymous=False) as broker:
        before = seen(broker.port)
    assert before == (False, [True], {"data/press/a"}, {"data/dash/a"})

    conf = tmp_path / "there/moved.conf"
    (port,) = free_ports(1)
    conf.write_text(f"listener {port} 127.0.0.1\nacl_file acl_file\npassword_file password_file\n", encoding="utf-8")
    data, out = tmp_path / "data", tmp_path / "out"
    asyncio.run(prepare(data, at=datetime.now(UTC)))
    command = ["import", "mosquitto", "--conf", str(conf), "--out", str(out), "--data", str(data)]
    assert run(command) == 0, capsys.readouterr().err

    with running(data, words=("--config", str(out / "bartizan.toml")), binds=("api.bind=off",)):
        assert seen(port) == before
        assert seen(port) == before, "with the hashes made anew"
