"""A broker elsewhere, by its REST API: who has logged in there is kept in a private file, and verbs ask through here."""

import getpass
import json
import os
import ssl
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import urlsplit

from cyclopts import Parameter

from bartizan.errors import (
    AlreadyExists,
    BartizanError,
    ChangeRefused,
    ConfigurationError,
    Conflict,
    EngineUnavailable,
    InvalidValue,
    NotFound,
)
from bartizan.pki.files import PRIVATE, make_directory, write_durably

if TYPE_CHECKING:
    import httpx2

Server = Annotated[
    str | None,
    Parameter(
        show_default=False,
        help="A broker elsewhere, such as https://mqtt.example.com:8444, after `bartizan login`. Default: that of --data.",
    ),
]

FILE: Final = "logins.json"
TIMEOUT_S: Final = 120.0
"""A revocation of many, or a policy of ten thousand roles, takes its time."""

LINES_TIMEOUT_S: Final = 10.0
EVENTS_TIMEOUT_S: Final = 45.0

OTHERS: Final = 0o077
PROOF: Final = "recent proof"

KINDS: Final[Mapping[str, type[BartizanError]]] = {
    "not-found": NotFound,
    "already-exists": AlreadyExists,
    "conflict": Conflict,
    "change-refused": ChangeRefused,
    "changed-meanwhile": Conflict,
    "invalid-value": InvalidValue,
    "invalid-request": InvalidValue,
}


class RefusedThere(BartizanError):  # noqa: N818  as in `errors`
    """The broker refuses it. To do: what the message says."""


class WaitsThere(BartizanError):  # noqa: N818  as in `errors`
    """It takes a second operator, and is not done before. To do: have one approve it."""


@dataclass(frozen=True, slots=True)
class Login:
    """A login at one server."""

    server: str
    operator: str
    token: str = field(repr=False)
    ca_pem: str = ""
    """The CA that its certificate has to be of; empty: those that the system trusts."""
    oidc: bool = False
    """By browser, at the OpenID Provider of the server: nobody is asked for a password here."""

    @property
    def again(self) -> str:
        """What to say to log in anew."""
        return f"bartizan login {self.server}" + (" --oidc" if self.oidc else "")


class Remote:
    """The API of one server, for one verb."""

    def __init__(
        self, login: Login, client: "httpx2.Client", prove: Callable[[], dict[str, str]] | None = None
    ) -> None:
        self._login = login
        self._client = client
        self._prove = prove

    def get(self, path: str, **params: object) -> Any:  # noqa: ANN401  what JSON holds
        """What is there."""
        return self._told(self._client.get(path, params=_said(params)))

    def text(self, path: str) -> str:
        """What is there and is no JSON."""
        answer = self._client.get(path)
        if answer.is_error:
            raise _error_of(answer, self._login)
        return answer.text

    def lines(self, path: str, body: Mapping[str, object]) -> Iterator[dict[str, Any]]:
        """What goes on to be told, an object a line, for as long as it goes on."""
        # Empty lines come every few seconds: a broker that says nothing for longer is gone.
        with self._client.stream("POST", path, json=body, timeout=LINES_TIMEOUT_S) as answer:
            yield from (json.loads(line) for line in self._told_lines(answer) if line)

    def events(self, path: str, **params: object) -> Iterator[tuple[str, dict[str, Any]]]:
        """Server-sent events with their names, `message` where one has none, for as long as they come."""
        name = "message"
        with self._client.stream("GET", path, params=_said(params), timeout=EVENTS_TIMEOUT_S) as answer:
            for line in self._told_lines(answer):
                field, _, value = line.partition(": ")
                if field == "event":
                    name = value
                elif field == "data":
                    yield name, json.loads(value)
                    name = "message"

    def _told_lines(self, answer: "httpx2.Response") -> Iterator[str]:
        if answer.is_error:
            answer.read()
            raise _error_of(answer, self._login)
        yield from answer.iter_lines()

    def every(self, path: str, **params: object) -> list[dict[str, Any]]:
        """All items of a list."""
        return [item for page in self.pages(path, **params) for item in page]

    def pages(self, path: str, **params: object) -> Iterator[list[dict[str, Any]]]:
        """The items of a list, page by page as they are wanted."""
        after: str | None = ""
        while after is not None:
            page = self.get(path, **params, limit=1_000, **({"after": after} if after else {}))
            yield page["items"]
            after = page["next"]

    def post(self, path: str, body: Mapping[str, object] | None = None) -> Any:  # noqa: ANN401  what JSON holds
        """Has something done; asks for a proof first where the broker wants a recent one and somebody can be asked."""
        return self._done("POST", path, body)

    def put(self, path: str, body: Mapping[str, object]) -> Any:  # noqa: ANN401  what JSON holds
        """The same, with something in the place of what is there."""
        return self._done("PUT", path, body)

    def patch(self, path: str, body: Mapping[str, object]) -> Any:  # noqa: ANN401  what JSON holds
        """Changes what is there."""
        return self._done("PATCH", path, body)

    def delete(self, path: str, **params: object) -> Any:  # noqa: ANN401  what JSON holds
        """Has something removed."""
        return self._done("DELETE", path, None, **params)

    def _done(self, method: str, path: str, body: Mapping[str, object] | None, **params: object) -> Any:  # noqa: ANN401
        asked = _said(params)
        answer = self._client.request(method, path, params=asked, json=body)
        if answer.status_code == HTTPStatus.FORBIDDEN and PROOF in answer.text and self._prove is not None:
            self._told(self._client.post("/session/proof", json=self._prove()))
            answer = self._client.request(method, path, params=asked, json=body)
        return self._told(answer)

    def _told(self, answer: "httpx2.Response") -> Any:  # noqa: ANN401  what JSON holds
        if answer.status_code == HTTPStatus.ACCEPTED:
            id_ = answer.json()["id"]
            raise WaitsThere(
                f"it waits for a second operator: bartizan approval approve {id_} --server {self._login.server}"
            )
        if answer.is_success:
            return answer.json() if answer.content else None
        raise _error_of(answer, self._login)


def _said(params: Mapping[str, object]) -> dict[str, str]:
    return {name: str(value) for name, value in params.items() if value is not None}


def address_of(text: str) -> str:
    """The address of a server as it is kept; `InvalidValue` for anything but https, a name and a port."""
    parts = urlsplit(text)
    bare = not (parts.path.strip("/") or parts.query or parts.fragment or parts.username or parts.password)
    if parts.scheme != "https" or not parts.hostname or not bare:
        raise InvalidValue(f"--server {text!r}: write https://NAME:PORT")
    return f"https://{parts.netloc}"


@contextmanager
def remote(server: str, *, asks: bool = True) -> Iterator[Remote]:
    """The API of a server at which somebody has logged in. `asks`: at the terminal for a proof, where it wants one."""
    address = address_of(server)
    login = logins().get(address)
    if login is None:
        raise ConfigurationError("nobody has logged in there", address, f"bartizan login {address} --operator NAME")
    with client_of(login) as client:
        yield Remote(login, client, proof_at_terminal if asks and not login.oidc and sys.stdin.isatty() else None)


@contextmanager
def client_of(login: Login) -> "Iterator[httpx2.Client]":
    """A client that trusts what the login says, and shows its token, if it has one."""
    import httpx2  # noqa: PLC0415  verbs that ask nobody start without it

    try:
        trust = ssl.create_default_context(cadata=login.ca_pem or None)
    except (ssl.SSLError, ValueError):
        raise ConfigurationError(
            "this is no CA certificate (PEM)", login.server, "name another with --ca-file"
        ) from None
    trust.minimum_version = ssl.TLSVersion.TLSv1_3
    headers = {"authorization": f"Bearer {login.token}"} if login.token else {}
    with httpx2.Client(
        base_url=f"{login.server}/api/v1", verify=trust, timeout=TIMEOUT_S, headers=headers, trust_env=False
    ) as client:
        try:
            yield client
        except httpx2.TransportError as error:
            raise EngineUnavailable(f"{login.server} does not answer: {error}") from None


def proof_at_terminal() -> dict[str, str]:
    """Password and one-time code, asked for."""
    shown = {"password": getpass.getpass("password: ")}
    code = getpass.getpass("one-time code (empty for none): ")
    return shown | ({"code": code} if code else {})


def log_in(login: Login, shown: Mapping[str, str]) -> tuple[Login, dict[str, Any]]:
    """The login with its token, and what it may do; `RefusedThere` for a wrong password or code."""
    words = {"operator": login.operator, "keep": "token", **shown}
    with client_of(replace(login, token="")) as client:
        me = logged_in(client.post("/session", json=words), login)
    return replace(login, token=me.pop("token")), me


def logged_in(answer: "httpx2.Response", login: Login) -> dict[str, Any]:
    """What a new login may do, and its token; raises what the server says where there is none."""
    if not answer.is_success:
        raise _error_of(answer, login)
    me: dict[str, Any] = answer.json()
    return me


def logins() -> dict[str, Login]:
    """Those that are kept, by server."""
    file = _place() / FILE
    try:
        mode = file.stat().st_mode
        if mode & OTHERS:
            raise ConfigurationError("others may read the logins that are kept", str(file), f"chmod 600 {file}")
        told = json.loads(file.read_bytes())
        return {
            name: Login(name, one["operator"], one["token"], one["ca_pem"], one.get("oidc", False))
            for name, one in told.items()
        }
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ConfigurationError(f"the logins cannot be read: {error!r}", str(file), "remove it, and log in") from None


def keep(every: Mapping[str, Login]) -> Path:
    """Keeps these logins and no others, for their owner alone; where."""
    place = _place()
    make_directory(place)
    told = {name: {key: value for key, value in asdict(one).items() if key != "server"} for name, one in every.items()}
    write_durably(place / FILE, (json.dumps(told, indent=1) + "\n").encode(), PRIVATE)
    return place / FILE


def _place() -> Path:
    named = os.environ.get("XDG_CONFIG_HOME", "")
    return (Path(named) if named.startswith("/") else Path.home() / ".config") / "bartizan"


def _error_of(answer: "httpx2.Response", login: Login) -> BartizanError:
    server = login.server
    try:
        told = answer.json()
        kind, detail = str(told["type"]).rpartition(":")[2], str(told.get("detail") or told["title"])
        wrong = "; ".join(f"{'.'.join(map(str, one['where'][1:]))}: {one['what']}" for one in told.get("errors") or ())
    except (ValueError, KeyError, TypeError, AttributeError):
        return RefusedThere(f"{server} is no Bartizan, or not its API: it answers {answer.status_code}")
    if kind == "login-needed":
        return ConfigurationError("the login there is over", server, login.again)
    if PROOF in detail:
        by_hand = "this asks for password and code again: do it at a terminal"
        detail = f"this asks for a recent proof: {login.again}" if login.oidc else by_hand
    return KINDS.get(kind, RefusedThere)(f"{detail}: {wrong}" if wrong else detail)
