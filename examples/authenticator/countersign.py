"""An Authenticator: the client is sent 32 random octets and answers with their keyed digest."""

import hmac
import secrets

from bartizan.authn import Challenge, ConnectRequest, Denied, Proof
from bartizan.model.ids import RoleName
from bartizan.model.principal import Principal
from bartizan.model.reason import ReasonCode


class Countersign:
    """Speaks the Authentication Method COUNTERSIGN for one device and its key."""

    method = "COUNTERSIGN"

    def __init__(self, name: str, key: bytes, role: str) -> None:
        self._principal, self._key = Principal(name, (RoleName(role),), method="countersign"), key

    async def authenticate(self, request: ConnectRequest) -> Proof | Challenge:
        if request.exchange_state is None:
            nonce = secrets.token_bytes(32)
            return Challenge(nonce, state=nonce)
        expected = hmac.digest(self._key, request.exchange_state, "sha256")
        if hmac.compare_digest(expected, request.authentication_data or b""):
            return Proof(self._principal, managed=False)
        raise Denied(ReasonCode.NOT_AUTHORIZED, "a wrong countersign")
