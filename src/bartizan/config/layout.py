"""Where things lie in a data directory. Pure paths: nothing here touches the disk."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class DataDirectory:
    """The data directory (0700): keys, identities, policy, sessions; one broker's memory."""

    root: Path

    @property
    def configuration(self) -> Path:
        """The commented configuration file that the first run writes."""
        return self.root / "bartizan.toml"

    @property
    def policy(self) -> Path:
        """The policy file used when `[policy] file` is not set."""
        return self.root / "policy.toml"

    @property
    def policy_history(self) -> Path:
        """The policies that were in force (`bartizan policy history`)."""
        return self.root / "policy-history"

    @property
    def pki(self) -> Path:
        """The broker's own CA and certificates."""
        return self.root / "pki"

    @property
    def ca_certificate(self) -> Path:
        """The CA certificate that clients trust."""
        return self.pki / "ca.crt"

    @property
    def ca_key(self) -> Path:
        """The CA's private key (0600)."""
        return self.pki / "ca.key"

    @property
    def crl(self) -> Path:
        """The CA's Certificate Revocation List."""
        return self.pki / "ca.crl"

    @property
    def crls(self) -> Path:
        """The last good lists of `crl_urls`."""
        return self.pki / "crls"

    @property
    def server_certificate(self) -> Path:
        """The server's certificate chain."""
        return self.pki / "server.crt"

    @property
    def server_key(self) -> Path:
        """The server's private key (0600)."""
        return self.pki / "server.key"

    @property
    def identities(self) -> Path:
        """The identity store (SQLite, 0600)."""
        return self.root / "identities.sqlite"

    @property
    def observations(self) -> Path:
        """What the broker observed of its decisions: denials, uses, what is staged (SQLite, 0600)."""
        return self.root / "observations.sqlite"

    @property
    def findings(self) -> Path:
        """What detectors found, what people made of it, and what detectors remember (SQLite, 0600)."""
        return self.root / "findings.sqlite"

    @property
    def audit(self) -> Path:
        """The record of every change, and the key that signs it (0700)."""
        return self.root / "audit"

    @property
    def store(self) -> Path:
        """The engine's durable store: Sessions, queues, Retained Messages."""
        return self.root / "store"

    @property
    def demo(self) -> Path:
        """Bundles of the two demo identities."""
        return self.root / "demo"

    @property
    def first_run_mark(self) -> Path:
        """Written last by a first run: without it the first run is not complete."""
        return self.root / ".complete"
