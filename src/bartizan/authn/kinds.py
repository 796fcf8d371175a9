"""Settings -> authenticators -> the entries of each listener. A further kind joins `BUILDERS`, and that is all."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bartizan.authn.anonymous import AnonymousAuthenticator
from bartizan.authn.backoff import Backoff
from bartizan.authn.base import Authenticator
from bartizan.authn.certificate import CertificateAuthenticator
from bartizan.authn.chain import Chain, each_alone, name_of
from bartizan.authn.entry import Entry, Part
from bartizan.authn.introspection import introspection_authenticators
from bartizan.authn.jwt import jwt_authenticators
from bartizan.authn.password import HashKeeper, PasswordAuthenticator
from bartizan.config.authenticators import Introspection, Jwt
from bartizan.config.schema import Settings
from bartizan.errors import ConfigurationError
from bartizan.store.ports import IdentityDirectory


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every kind may use."""

    directory: IdentityDirectory
    remembered_s: int


Builder = Callable[[str, Any, Surroundings], Sequence[Authenticator]]
"""Name, settings of its kind, surroundings -> one authenticator for each method that it speaks."""

BUILDERS: Mapping[type, Builder] = {
    Jwt: lambda name, kind, around: jwt_authenticators(name, kind, around.directory),
    Introspection: lambda name, kind, around: introspection_authenticators(name, kind, around.directory),
}


def default_chain(
    settings: Settings,
    directory: IdentityDirectory,
    authenticators: Sequence[Authenticator] = (),
    keeper: HashKeeper | None = None,
) -> Chain:
    """The chain of a configuration: each listener's entries, then anonymous where it says so.

    `authenticators` are the embedder's own. Reads the files that the settings name; raises `ConfigurationError`.
    """
    around = Surroundings(directory, settings.broker.success_remembered_s)
    parts = _parts(settings, around, authenticators, keeper)
    usual = [parts[name] for name in ("certificate", "password", *(name_of(own) for own in authenticators))]
    anonymous = AnonymousAuthenticator(
        [name for name, listener in settings.listeners.items() if listener.danger_anonymous is not None]
    )
    listeners: dict[str, Sequence[Entry]] = {}
    for name, listener in settings.listeners.items():
        rows = listener.proofs
        entries = (
            [Entry((part,)) for part in dict.fromkeys(usual)]
            if rows is None
            else [_entry(row, parts, f"listeners.{name}.authentication") for row in rows]
        )
        listeners[name] = (*entries, *each_alone([anonymous]))
    # Nobody is let in on a listener that is not in the settings.
    return Chain([], directory, listeners=listeners, backoff=Backoff(settings.passwords))


def _parts(
    settings: Settings, around: Surroundings, own: Sequence[Authenticator], keeper: HashKeeper | None
) -> dict[str, Part]:
    built_in = (
        CertificateAuthenticator(around.directory, remembered_s=around.remembered_s),
        PasswordAuthenticator(around.directory, remembered_s=around.remembered_s, keeper=keeper),
    )
    found: dict[str, list[Authenticator]] = {item.name: [item] for item in built_in}
    for item in own:
        # Two of one class, for two methods, say, are one name with two tongues.
        found.setdefault(name_of(item), []).append(item)
    for name, kind in settings.authenticators.items():
        if name in found:
            raise ConfigurationError(
                f"two authenticators are called {name!r}", f"authenticators.{name}", "choose another name"
            )
        found[name] = list(BUILDERS[type(kind)](name, kind, around))
    return {name: Part(name, tuple(items)) for name, items in found.items()}


def _entry(row: Sequence[str], parts: Mapping[str, Part], where: str) -> Entry:
    for name in row:
        if name not in parts:
            raise ConfigurationError(
                f"there is no authenticator {name!r}", where, f"known here: {', '.join(sorted(parts))}"
            )
    entry = Entry(tuple(parts[name] for name in row))
    methods = {item.method for part in entry.parts for item in part.authenticators}
    if not any(entry.speakers(method) for method in methods):
        raise ConfigurationError(
            f"{' + '.join(row)} can never be proved in one CONNECT", where, "its parts speak different methods"
        )
    return entry
