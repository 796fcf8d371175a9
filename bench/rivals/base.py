"""What every broker in the table answers: how it is obtained, what it cannot do, how it is started."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import ClassVar

from bench.certificates import Certificates


class Variant(StrEnum):
    """How a broker is set up for a scenario."""

    PLAIN = "plain"
    """Anonymous, in memory, no limits."""
    GUARDED = "guarded"
    """Password and access rules, without TLS."""
    TLS = "tls"
    """TLS 1.3 with a P-256 certificate, anonymous: what connecting costs without a password that is hashed."""
    SECURE = "secure"
    """TLS 1.3 with a P-256 certificate, password, access rules."""
    DURABLE = "durable"
    """Anonymous; what is acknowledged is on disk, as near as the broker gets to that."""


class UnobtainableError(Exception):
    """This broker cannot be had, built or started here; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What a broker is started with, once."""

    variant: Variant
    mqtt: str
    """`3.1.1` or `5`: some brokers have a listener for each."""
    port: int
    spare_port: int
    """One more free port, for brokers that open a second one whatever they are told."""
    directory: Path
    """Fresh and empty; whatever the broker writes goes here."""
    certificates: Certificates
    user: str
    password: str = field(repr=False)

    @property
    def guarded(self) -> bool:
        """Whether clients need the password."""
        return self.variant in {Variant.GUARDED, Variant.SECURE}

    @property
    def encrypted(self) -> bool:
        """Whether clients speak TLS."""
        return self.variant in {Variant.TLS, Variant.SECURE}

    def write(self, name: str, text: str) -> Path:
        """A file in the broker's directory."""
        path = self.directory / name
        path.write_text(text, encoding="utf-8")
        return path


@dataclass(frozen=True, slots=True)
class Launch:
    """A command that stays in the foreground."""

    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    password: str | None = field(default=None, repr=False)
    """The password that the broker itself chose for the user, where it does."""
    ca_file: Path | None = None
    """The CA that the broker itself made, where it does."""


class Rival(ABC):
    """One broker. `place` is a directory of its own inside the checkout."""

    name: ClassVar[str]
    title: ClassVar[str]
    source: ClassVar[str]
    """Where it comes from: a package registry."""
    version: ClassVar[str]
    mqtt: ClassVar[frozenset[str]] = frozenset({"3.1.1", "5"})
    variants: ClassVar[frozenset[Variant]] = frozenset({Variant.PLAIN, Variant.TLS, Variant.SECURE})
    lacks: ClassVar[Mapping[Variant, str]] = {}
    """Why a variant is missing."""
    unable: ClassVar[Mapping[str, str]] = {}
    """Loads of the generator that it cannot bear, and why."""
    warm_up_s: ClassVar[float] = 0.0
    """Load before each measurement that is not counted: for brokers that compile while they run."""
    remark: ClassVar[str] = ""
    """What a reader of the results has to know about how it is set up."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def refusal(self, variant: Variant, mqtt: str, load: str = "") -> str | None:
        """Why it cannot run a scenario at all; None if it can."""
        if load in self.unable:
            return self.unable[load]
        if mqtt not in self.mqtt:
            return f"does not speak MQTT {mqtt}"
        if variant in self.variants:
            return None
        return self.lacks.get(variant, f"no {variant} set-up")

    @abstractmethod
    def obtain(self) -> None:
        """Installs it if it is not there; `UnobtainableError` says why it cannot be had."""

    @abstractmethod
    def launch(self, setting: Setting) -> Launch:
        """Writes its configuration; the command that starts it."""
