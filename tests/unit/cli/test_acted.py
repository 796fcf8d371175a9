"""Who is cut, as it is told: the first ones by name, the others by their number."""

from bartizan.cli.acted import SHOWN_MAX, connections


def client(name: str, identity: str = "press") -> dict[str, str]:
    return {"client_id": name, "identity": identity, "address": "192.0.2.7"}


def test_connections_are_told_one_by_one_and_move_no_cursor() -> None:
    assert list(connections([], 0)) == []
    assert list(connections([client("a\x1b[2J"), client("b", "")], 2)) == [
        "  a\\x1b[2J of press from 192.0.2.7",
        "  b of nobody from 192.0.2.7",
    ]


def test_many_connections_are_told_by_their_number() -> None:
    told = list(connections([client(str(number)) for number in range(SHOWN_MAX + 5)], 1_200))
    assert len(told) == SHOWN_MAX + 1
    assert told[-1] == f"  and {1_200 - SHOWN_MAX} more"
