"""Settings -> authenticators -> the entries of each listener. A further kind joins `BUILDERS`, and that is all."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from bartizan.authn.ages import AgeGuard
from bartizan.authn.anonymous import AnonymousAuthenticator
from bartizan.authn.backoff import Backoff
from bartizan.authn.base import Authenticator
from bartizan.authn.binding import Names, OwnNames
from bartizan.authn.certificate import CertificateAuthenticator, certificate_authenticators
from bartizan.authn.chain import Chain, Checks, each_alone, name_of
from bartizan.authn.entry import Entry, Part
from bartizan.authn.introspection import introspection_authenticators
from bartizan.authn.jwt import jwt_authenticators
from bartizan.authn.ldap import ldap_authenticators
from bartizan.authn.ocsp import OcspGuard, Revoked
from bartizan.authn.outside import Tell
from bartizan.authn.password import HashKeeper, PasswordAuthenticator
from bartizan.authn.scram import ScramSurroundings, scram_authenticators
from bartizan.authn.sql import sql_authenticators
from bartizan.authn.webhook import webhook_authenticators
from bartizan.config.accounts import Ldap, Sql, Webhook
from bartizan.config.authenticators import Introspection, Jwt, Scram
from bartizan.config.certificate import CertificateRules
from bartizan.config.listener import BUILT_IN
from bartizan.config.schema import Settings
from bartizan.errors import ConfigurationError
from bartizan.identity.ages import AgeLimits
from bartizan.store.ports import IdentityDirectory


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every kind may use."""

    directory: IdentityDirectory
    remembered_s: int
    names: Names
    tell: Tell
    backoff: Backoff
    """How guessing is slowed down, whoever judges the guess."""


Builder = Callable[[str, Any, Surroundings], Sequence[Authenticator]]
"""Name, settings of its kind, surroundings -> one authenticator for each method that it speaks."""

BUILDERS: Mapping[type, Builder] = {
    Jwt: lambda name, kind, around: jwt_authenticators(name, kind, around.directory, around.tell),
    Introspection: lambda name, kind, around: introspection_authenticators(name, kind, around.directory, around.tell),
    Scram: lambda name, kind, around: scram_authenticators(
        name, kind, ScramSurroundings(around.directory, around.backoff, kind.iterations)
    ),
    Ldap: lambda name, kind, around: ldap_authenticators(name, kind, around.directory, around.tell),
    Webhook: lambda name, kind, around: webhook_authenticators(name, kind, around.directory, around.tell),
    Sql: lambda name, kind, around: sql_authenticators(name, kind, around.directory, around.tell),
    CertificateRules: lambda name, kind, around: certificate_authenticators(
        name, kind, around.directory, around.remembered_s, around.names
    ),
}


def default_chain(  # noqa: PLR0913  what a composition root has to give
    settings: Settings,
    directory: IdentityDirectory,
    authenticators: Sequence[Authenticator] = (),
    keeper: HashKeeper | None = None,
    names: Names | None = None,
    tell: Tell = lambda _name, _wrong: None,
    *,
    revoked: Revoked | None = None,
    is_banned: Callable[[str], bool] = lambda _name: False,
) -> Chain:
    """The chain of a configuration: each listener's entries, then anonymous where it says so.

    `authenticators` are the embedder's own; `names`, what the policy says about names; `tell` is told of
    providers that are of no use, `revoked` of certificates that a responder says to be so; `is_banned` knows the
    names of identities that may not connect. Reads the files that the settings name; raises `ConfigurationError`.
    """
    names = names or OwnNames()
    backoff = Backoff(settings.passwords)
    around = Surroundings(directory, settings.broker.success_remembered_s, names, tell, backoff)
    parts = _parts(settings, around, authenticators, keeper)
    usual = [*_entries(("certificate",), parts, ""), *_entries(("password",), parts, ""), *each_alone(authenticators)]
    anonymous = AnonymousAuthenticator(
        [name for name, listener in settings.listeners.items() if listener.danger_anonymous is not None]
    )
    listeners: dict[str, Sequence[Entry]] = {}
    for name, listener in settings.listeners.items():
        where = f"listeners.{name}.authentication"
        rows = listener.proofs
        entries = usual if rows is None else [entry for row in rows for entry in _entries(row, parts, where)]
        listeners[name] = (*entries, *each_alone([anonymous]))
    guards = {
        name: OcspGuard(name, one, tell, revoked=revoked)
        for name, one in settings.listeners.items()
        if one.ocsp != "off"
    }
    judge = None
    if settings.credentials.ages == "enforce":
        judge = AgeGuard(directory, AgeLimits(settings.credentials.days_max, names.credential_days_max)).judge
    # Nobody is let in on a listener that is not in the settings.
    return Chain(
        [],
        directory,
        listeners=listeners,
        backoff=backoff,
        names=names,
        checks=Checks(guards, judge, is_banned),
    )


def _parts(
    settings: Settings, around: Surroundings, own: Sequence[Authenticator], keeper: HashKeeper | None
) -> dict[str, list[Part]]:
    """What each name stands for; several parts where an embedder gave several authenticators of one name."""
    built_in = (
        CertificateAuthenticator(around.directory, around.remembered_s, around.names),
        PasswordAuthenticator(around.directory, remembered_s=around.remembered_s, keeper=keeper),
    )
    found = {item.name: [Part(item.name, (item,))] for item in built_in}
    for item in own:
        name = name_of(item)
        if name in BUILT_IN:
            raise ConfigurationError(f"{name!r} is built in", "authenticators=", "give the class another `name`")
        found.setdefault(name, []).append(Part(name, (item,)))
    for name, kind in settings.authenticators.items():
        if name in found:
            raise ConfigurationError(
                f"two authenticators are called {name!r}", f"authenticators.{name}", "choose another name"
            )
        found[name] = [Part(name, tuple(BUILDERS[type(kind)](name, kind, around)))]
    return found


def _entries(row: Sequence[str], parts: Mapping[str, Sequence[Part]], where: str) -> list[Entry]:
    for name in row:
        if name not in parts:
            raise ConfigurationError(
                f"there is no authenticator {name!r}", where, f"known here: {', '.join(sorted(parts))}"
            )
    entries = [Entry(chosen) for chosen in product(*(parts[name] for name in row))]
    usable = [entry for entry in entries if any(entry.speakers(method) for method in _methods(entry))]
    if not usable:
        raise ConfigurationError(
            f"{' + '.join(row)} can never be proved in one CONNECT", where, "its parts speak different methods"
        )
    return usable


def _methods(entry: Entry) -> set[str | None]:
    return {item.method for part in entry.parts for item in part.authenticators}
