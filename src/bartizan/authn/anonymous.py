"""Clients that present nothing, on a listener whose `danger_anonymous` lets them in."""

from collections.abc import Collection

from bartizan.authn.base import ConnectRequest, Proof
from bartizan.model.principal import ANONYMOUS_ROLE, Principal


class AnonymousAuthenticator:
    """Gives the role `anonymous`. Whoever presents a credential is judged by it, so a wrong
    password never ends here.
    """

    name = "anonymous"
    method: None = None

    def __init__(self, listeners: Collection[str]) -> None:
        self._listeners = frozenset(listeners)

    async def authenticate(self, request: ConnectRequest) -> Proof | None:
        """The anonymous principal, if nothing was presented and the listener allows that."""
        presented = (request.user_name, request.password, request.certificate, request.authentication_method)
        if request.listener not in self._listeners or any(item is not None for item in presented):
            return None
        return Proof(
            Principal(identity="anonymous", roles=(ANONYMOUS_ROLE,), method="anonymous"),
            may_use_any_client_id=True,
            managed=False,
        )
