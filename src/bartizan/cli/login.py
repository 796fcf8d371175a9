"""`bartizan login` and `logout`: at a broker elsewhere, for verbs with --server."""

import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from bartizan.cli.listing import Flag, Json, Text, print_json
from bartizan.cli.login_browser import log_in_by_browser
from bartizan.cli.remote import Login, Remote, address_of, client_of, keep, log_in, logins, proof_at_terminal
from bartizan.config.files import read_file, read_secret
from bartizan.errors import BartizanError, ConfigurationError, InvalidValue


def login(
    server: str,
    /,
    *,
    operator: Text = None,
    ca_file: Annotated[Path | None, Parameter(show_default=False)] = None,
    password_file: Annotated[Path | None, Parameter(show_default=False)] = None,
    code: Text = None,
    oidc: Flag = False,
    no_browser: Flag = False,
    json_output: Json = False,
) -> int:
    """Log in at a broker elsewhere: verbs with --server act there as this operator until the login ends.

    Password and one-time code are asked for, or the broker's OpenID Provider is, in a browser on this machine. What
    is kept is the token of the login, in a file that nobody else may read; it ends by itself, and with
    `bartizan logout`.

    For example:

        bartizan login https://mqtt.example.com:8444 --operator alice --ca-file plant-ca.crt

        bartizan login https://mqtt.example.com:8444 --oidc

    Parameters
    ----------
    server
        Its API, as `[api] bind` there says, such as https://mqtt.example.com:8444.
    operator
        The operator. Default: as last time.
    ca_file
        The CA that its certificate has to be of, such as its pki/ca.crt. Default: as last time, else the system's.
    password_file
        Read the password from the first line of this private file.
    code
        A one-time code, where nobody can be asked for it.
    oidc
        Log in by browser, at the OpenID Provider of the broker.
    no_browser
        With --oidc: open none, but show the address alone.
    """
    if oidc and (operator or password_file or code):
        raise InvalidValue("--oidc: the provider says who it is, so neither --operator, --password-file nor --code")
    if no_browser and not oidc:
        raise InvalidValue("--no-browser goes with --oidc")
    address = address_of(server)
    before = logins().get(address)
    name, pem = (before.operator, before.ca_pem) if before else ("", "")
    if ca_file is not None:
        pem = read_file(ca_file, "the CA certificate").decode("ascii", "replace")
    if oidc:
        made, me = log_in_by_browser(Login(address, "", "", pem, oidc=True), opens=not no_browser)
    elif operator or name:
        made, me = log_in(Login(address, operator or name, "", pem), _shown(password_file, code))
    else:
        raise InvalidValue("--operator: who logs in there?")
    _tell(made, me, keep(logins() | {address: made}), as_json=json_output)  # read again: the browser took its time
    return 0


def logout(server: str, /) -> int:
    """Log out at a broker elsewhere. What is kept of the login is forgotten, also where the broker does not answer.

    For example:

        bartizan logout https://mqtt.example.com:8444

    Parameters
    ----------
    server
        Its API, as it was logged in at.
    """
    address, kept = address_of(server), logins()
    login_ = kept.pop(address, None)
    if login_ is None:
        print(f"nobody was logged in at {address}")
        return 0
    keep(kept)
    try:
        with client_of(login_) as client, suppress(ConfigurationError):  # it was over already
            Remote(login_, client).delete("/session")
    except BartizanError as error:
        print(f"forgotten here; there it ends by itself: {error}", file=sys.stderr)
        return 1
    print(f"logged out at {address}")
    return 0


def _tell(made: Login, me: dict[str, Any], file: Path, *, as_json: bool) -> None:
    if as_json:
        print_json({"server": made.server, **me})
        return
    print(f"logged in at {made.server} as {made.operator}: {', '.join(me['roles']) or 'no role'}")
    if me["withheld_roles"]:
        print(f"without {', '.join(me['withheld_roles'])}: that takes a login with two factors")
    if me["must_change_password"]:
        print("the password was made for you: choose one of your own first (PUT /session/password)")
    print(f"the login is kept in {file}")


def _shown(password_file: Path | None, code: str | None) -> dict[str, str]:
    if password_file is None and not sys.stdin.isatty():
        raise InvalidValue("no terminal to ask on: use --password-file FILE, and --code CODE")
    if password_file is None:
        shown = proof_at_terminal()
    else:
        shown = {"password": read_secret(password_file, "the password file")}
    return shown | ({"code": code} if code else {})
