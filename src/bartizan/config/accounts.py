"""Settings of those who judge a User Name and Password elsewhere: a directory (LDAP), a web service, a database.

They share what is made of their answer: who that is, what it may, and for how long it counts.
"""

import re
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from bartizan.config.database import parse_database_url
from bartizan.config.ldap_names import dn_key, filter_validator, parse_dn, parse_dn_template
from bartizan.config.outside import Attribute, Outside, Role, require_https
from bartizan.config.words import Reason, Url

PARAMETER = re.compile(r"(?<![:\w\\]):(\w+)(?!:)")
"""A named parameter of a query; `::` is a cast of PostgreSQL."""

PARAMETERS = frozenset({"user_name", "client_id"})
"""What a query may ask by."""


def parse_ldap_url(text: str) -> str:
    """`ldaps://HOST:PORT`, or `ldap://HOST:PORT`, and no more."""
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError as error:
        raise ValueError(f"no address: {error}") from None
    if parts.scheme not in {"ldaps", "ldap"} or not parts.hostname or parts.path not in {"", "/"}:
        raise ValueError("write it as ldaps://directory.example, with a port where it is not the usual one")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError("it has neither user, password nor search in it: those are keys of their own")
    return text


def parse_query(text: str) -> str:
    """One query that asks by `:user_name`."""
    used = set(PARAMETER.findall(text))
    if unknown := sorted(used - PARAMETERS):
        raise ValueError(f":{unknown[0]} is no parameter: there are :user_name and :client_id")
    if "user_name" not in used:
        raise ValueError("a query without :user_name answers the same for everyone: ask for WHERE name = :user_name")
    return text


LdapUrl = Annotated[str, AfterValidator(parse_ldap_url)]
Dn = Annotated[str, AfterValidator(parse_dn)]
LdapAttribute = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9-]{0,63}$")]
Database = Annotated[str, AfterValidator(lambda text: parse_database_url(text, "database_password_file"))]
ROLES_MAX = 256


class Accounts(Outside):
    """What is made of somebody's word for a User Name."""

    identities: Literal["stored", "answer"] = Field(
        "stored",
        description=(
            "`stored`: the identity must be in the identity store and enabled; its roles and attributes come from "
            "there. `answer`: it must not be there; the answer alone says who it is and what it may."
        ),
    )
    identity_prefix: Annotated[str, Field(max_length=64)] = Field(
        "", description="Put before the name that is answered, so that two sources never name the same identity."
    )
    remembered_s: Annotated[int, Field(strict=True, ge=0, le=3600)] = Field(
        60,
        description=(
            "Seconds for which the same credential lets the same Client Identifier in again from the same address "
            "without asking: what was taken back meanwhile is still good there. 0: ask every time."
        ),
    )
    session_max_s: Annotated[int, Field(strict=True, ge=10, le=604_800)] = Field(
        86_400, description="A connection ends after so many seconds, and its client has to prove itself anew."
    )


class Answered(Accounts):
    """Those whose answer may name roles."""

    roles_allowed: tuple[Role, ...] = Field(
        (),
        max_length=ROLES_MAX,
        description='The roles that an answer may give; all others in it count for nothing. With `identities = "answer"`.',
    )

    @model_validator(mode="after")
    def _mapping(self) -> Self:
        if self.identities == "stored" and self.roles_allowed:
            raise ValueError(
                'identities = "stored" takes roles from the identity store: remove roles_allowed, or set '
                'identities = "answer"'
            )
        return self


class Webhook(Answered):
    """A service of your own is asked about each CONNECT, by a signed POST of JSON."""

    kind: Literal["webhook"] = Field(description="A service that is asked by HTTPS.")
    webhook_url: Url = Field(description="Where it is asked. Redirects are not followed.")
    secret_file: Path = Field(
        description="The secret that signs questions: at least 32 bytes, in a file that others may not read."
    )
    sends_password: bool = Field(
        default=True,
        description=(
            "Whether the Password is part of the question. Without it the service proves nobody: it may refuse what "
            'others prove, in an entry such as `"certificate + gate"`.'
        ),
    )
    signed_answers: bool = Field(
        default=False, description="Whether an answer counts only with a signature by the same secret."
    )
    retries_max: Annotated[int, Field(strict=True, ge=0, le=5)] = Field(
        2,
        description=(
            "Further attempts, within the deadline, where the service could not be reached or answered 5xx; never "
            "after any other answer."
        ),
    )
    ca_file: Path | None = Field(None, description="CA certificates (PEM) for the service. Default: the system's.")
    danger_plaintext_webhook: Reason | None = Field(
        None,
        description=(
            "Allows a `webhook_url` of http, with `signed_answers` only; the value is the reason. Whoever is on the "
            "way reads every password."
        ),
    )

    PATHS: ClassVar[tuple[str, ...]] = ("secret_file", "ca_file")

    @model_validator(mode="after")
    def _service(self) -> Self:
        require_https(self.webhook_url, self.danger_plaintext_webhook, "webhook_url", "danger_plaintext_webhook")
        if self.danger_plaintext_webhook is not None and not self.signed_answers:
            raise ValueError("an answer by http is anybody's: set signed_answers = true")
        if self.ca_file is not None and not self.webhook_url.startswith("https:"):
            raise ValueError("ca_file is for a webhook_url of https: remove it")
        return self


class Ldap(Accounts):
    """A directory checks the password by a bind, and says to which groups the user belongs."""

    kind: Literal["ldap"] = Field(description="A directory, by LDAP version 3.")
    ldap_url: LdapUrl = Field(
        description="`ldaps://HOST`, or `ldap://HOST`, where StartTLS has to succeed before anything else is said."
    )
    ca_file: Path | None = Field(None, description="CA certificates (PEM) for the directory. Default: the system's.")
    danger_plaintext_ldap: Reason | None = Field(
        None,
        description=(
            "Leaves StartTLS out with an `ldap_url` of ldap; the value is the reason. Whoever is on the way reads "
            "every password and can be anyone."
        ),
    )
    user_dn: Annotated[str, AfterValidator(parse_dn_template)] | None = Field(
        None,
        description=(
            "Where every user is, such as `uid={user_name},ou=people,dc=example,dc=org`. Either this, or "
            "`search_base` and `search_filter`."
        ),
    )
    search_base: Dn | None = Field(None, description="Below what users are looked for.")
    search_filter: Annotated[str, AfterValidator(filter_validator("user_name"))] | None = Field(
        None, description="What finds a user, such as `(&(objectClass=person)(uid={user_name}))`: exactly one."
    )
    bind_dn: Dn | None = Field(None, description="Who looks for users. Default: nobody in particular (anonymous).")
    bind_password_file: Path | None = Field(
        None, description="Its password: the first line of a file that others may not read."
    )
    identity_attribute: LdapAttribute = Field(
        "uid",
        description=(
            "The attribute of the user's entry that holds the identity's name, once: what the client typed may be "
            "spelt in many ways."
        ),
    )
    group_attribute: LdapAttribute | None = Field(
        None, description="The attribute of the user's entry that lists its groups, such as `memberOf`."
    )
    group_base: Dn | None = Field(None, description="Below what groups are looked for.")
    group_filter: Annotated[str, AfterValidator(filter_validator("user_dn", "identity"))] | None = Field(
        None,
        description=(
            "What finds a user's groups, such as `(&(objectClass=groupOfNames)(member={user_dn}))`, or "
            "`(memberUid={identity})`, which is the value of `identity_attribute`."
        ),
    )
    group_roles: dict[Dn, tuple[Role, ...]] = Field(
        default_factory=dict,
        max_length=ROLES_MAX,
        description=(
            'Groups and the roles that they give, such as `{ "cn=operators,ou=groups,dc=example" = ["operator"] }`. '
            'With `identities = "answer"`.'
        ),
    )
    attribute_names: dict[Attribute, LdapAttribute] = Field(
        default_factory=dict,
        max_length=64,
        description=(
            'Attributes, and the ones of the user\'s entry that hold them, such as `{ site = "l" }`. '
            'With `identities = "answer"`.'
        ),
    )

    PATHS: ClassVar[tuple[str, ...]] = ("ca_file", "bind_password_file")
    sends_password: ClassVar[bool] = True

    @property
    def starts_tls(self) -> bool:
        """Whether the connection begins in the clear and is made safe before anything is said."""
        return self.ldap_url.startswith("ldap:") and self.danger_plaintext_ldap is None

    @model_validator(mode="after")
    def _directory(self) -> Self:
        if self.danger_plaintext_ldap is not None and not self.ldap_url.startswith("ldap:"):
            raise ValueError("danger_plaintext_ldap without an ldap_url of ldap: remove it")
        if self.ca_file is not None and self.danger_plaintext_ldap is not None:
            raise ValueError("ca_file is for TLS: remove it, or danger_plaintext_ldap")
        if (self.search_base is None) != (self.search_filter is None):
            raise ValueError("search_base and search_filter belong together: set both or neither")
        if (self.user_dn is None) == (self.search_base is None):
            raise ValueError("a user is found by user_dn, or by search_base and search_filter: set one of the two")
        if (self.bind_dn is None) != (self.bind_password_file is None):
            raise ValueError("bind_dn and bind_password_file belong together: set both or neither")
        if self.bind_dn is not None and self.user_dn is not None:
            raise ValueError("user_dn needs nobody who looks for users: remove bind_dn")
        return self

    @model_validator(mode="after")
    def _groups(self) -> Self:
        if (self.group_base is None) != (self.group_filter is None):
            raise ValueError("group_base and group_filter belong together: set both or neither")
        sources = [source for source in (self.group_attribute, self.group_base) if source is not None]
        if bool(self.group_roles) != (len(sources) == 1) or len(sources) > 1:
            raise ValueError("group_roles needs one of group_attribute and group_base, and they need group_roles")
        if self.identities == "stored" and (self.group_roles or self.attribute_names):
            raise ValueError(
                'identities = "stored" takes roles and attributes from the identity store: remove group_roles and '
                'attribute_names, or set identities = "answer"'
            )
        if len({dn_key(group) for group in self.group_roles}) != len(self.group_roles):
            raise ValueError("group_roles names one group twice: join the two")
        return self


class Sql(Answered):
    """A database of your own holds User Names and hashes of passwords; it is only read."""

    kind: Literal["sql"] = Field(description="A query to PostgreSQL or SQLite.")
    database: Database | None = Field(
        None,
        description=(
            'PostgreSQL database, such as "postgresql://reader@db.example/devices" (`pip install bartizan[pg]`). To '
            "another machine TLS is verified."
        ),
    )
    database_password_file: Path | None = Field(
        None,
        description=(
            "File whose first line is the password of that database's user; nobody else may read it. Default: "
            "`PGPASSFILE`, or `~/.pgpass`."
        ),
    )
    sqlite_file: Path | None = Field(None, description="SQLite database, opened for reading only.")
    query: Annotated[str, Field(min_length=1, max_length=8_192), AfterValidator(parse_query)] = Field(
        description=(
            "One query with the parameter `:user_name`, and `:client_id` where it helps. Its one row has `identity` "
            "and `hash`, and may have `roles` and `attributes`."
        )
    )

    PATHS: ClassVar[tuple[str, ...]] = ("database_password_file", "sqlite_file")
    sends_password: ClassVar[bool] = False

    @model_validator(mode="after")
    def _source(self) -> Self:
        if (self.database is None) == (self.sqlite_file is None):
            raise ValueError("where the accounts are is one of database and sqlite_file: set exactly one")
        if self.database_password_file is not None and self.database is None:
            raise ValueError("database_password_file needs database")
        return self
