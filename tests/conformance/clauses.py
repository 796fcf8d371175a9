"""The catalogue of normative statements, and `@clause`, which says what a test proves.

    @clause("MQTT-3.1.0-1", v=5)
    def test_mqtt_3_1_0_1_first_packet_must_be_connect(wire): ...

A statement the standard does not have, or a name that does not begin with the first one, fails
at import. `report.py` reads the same decorators without running anything.
"""

import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, TypeVar

import pytest

HERE = Path(__file__).parent
Test = TypeVar("Test", bound=Callable[..., object])
# The version as a test gives it, and the file that holds its statements.
CATALOGUES = {5: "statements_v5.toml", 311: "statements_v311.toml"}


@dataclass(frozen=True, kw_only=True)
class Statement:
    """One numbered statement, in our words."""

    id: str
    binds: Literal["server", "client", "both"]
    says: str
    unseen: str | None = None

    @property
    def chapter(self) -> str:
        """ "3.1" for a packet, "4.3" for a part of operation, "1", "2" or "6" otherwise."""
        numbers = self.id.split("-")[1].split(".")
        return ".".join(numbers[:2]) if numbers[0] in "34" else numbers[0]

    @property
    def binds_server(self) -> bool:
        return self.binds != "client"

    @property
    def test_prefix(self) -> str:
        return "test_" + self.id.lower().replace("-", "_").replace(".", "_") + "_"


@dataclass(frozen=True, kw_only=True)
class Catalogue:
    """All statements of one version, in the order of its Appendix B."""

    name: str
    source: str
    chapters: dict[str, str]
    statements: dict[str, Statement]

    def of(self, chapter: str) -> list[Statement]:
        return [one for one in self.statements.values() if one.chapter == chapter]


@cache
def catalogue(v: int) -> Catalogue:
    """The statements of MQTT 5.0 (5) or 3.1.1 (311)."""
    document = tomllib.loads((HERE / CATALOGUES[v]).read_text())
    return Catalogue(
        name=document["name"],
        source=document["source"],
        chapters=document["chapters"],
        statements={key: Statement(id=key, **row) for key, row in document["statements"].items()},
    )


def clause(*ids: str, v: int) -> Callable[[Test], Test]:
    """Mark a test as proof of these statements; its name begins with the first."""
    known = catalogue(v).statements
    missing = [one for one in ids if one not in known]
    if missing or not ids:
        raise ValueError(f"{catalogue(v).name} has no statement {missing}")

    def mark(test: Test) -> Test:
        name = getattr(test, "__name__", "")
        if not name.startswith(known[ids[0]].test_prefix):
            raise ValueError(f"{name} should begin with {known[ids[0]].test_prefix}")
        return pytest.mark.clause(*ids, v=v)(test)

    return mark
