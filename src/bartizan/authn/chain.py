"""Any of several authenticators of a method, then the binding of the Client Identifier. Fails closed."""

from collections.abc import Sequence

from bartizan.authn.anonymous import AnonymousAuthenticator
from bartizan.authn.base import Authenticator, Challenge, ConnectRequest, Denied, Proof, Verdict
from bartizan.authn.binding import bind_client_id
from bartizan.authn.certificate import CertificateAuthenticator
from bartizan.authn.password import PasswordAuthenticator
from bartizan.config.schema import Settings
from bartizan.errors import BartizanError
from bartizan.model.reason import ReasonCode
from bartizan.store.ports import IdentityDirectory


class Chain:
    """Asks each authenticator in turn; the first proof counts."""

    def __init__(self, authenticators: Sequence[Authenticator], directory: IdentityDirectory) -> None:
        self._authenticators = tuple(authenticators)
        self._directory = directory

    async def decide(self, request: ConnectRequest) -> Verdict:
        """The verdict. Whatever goes wrong inside is 0x88 Server unavailable, never "allow" (I6)."""
        try:
            proof = await self._prove(request)
            if isinstance(proof, Challenge):
                return Verdict.proceed(proof)
            prefix = await bind_client_id(proof, request.client_id, self._directory)
        except Denied as denied:
            return Verdict.deny(denied.reason, denied.why)
        except BartizanError as error:
            return Verdict.deny(ReasonCode.SERVER_UNAVAILABLE, str(error))
        except Exception as error:  # noqa: BLE001  an authenticator's own bug must not let anyone in
            return Verdict.deny(ReasonCode.SERVER_UNAVAILABLE, f"an authenticator failed: {type(error).__name__}")
        return Verdict.allow(proof, prefix)

    async def _prove(self, request: ConnectRequest) -> Proof | Challenge:
        method = request.authentication_method
        # One that knows nothing of methods never judges an exchange, nor the other way round.
        asked = [authenticator for authenticator in self._authenticators if authenticator.method == method]
        if method is not None and not asked:
            raise Denied(ReasonCode.BAD_AUTHENTICATION_METHOD, "no authenticator speaks this method")
        first: Denied | None = None
        for authenticator in asked:
            try:
                proof = await authenticator.authenticate(request)
            except Denied as denied:
                first = first or denied
                continue
            if isinstance(proof, Challenge) and method is None:
                raise Denied(ReasonCode.SERVER_UNAVAILABLE, "an authenticator without a method sent a challenge")
            if proof is not None:
                return proof
        if first is not None:
            raise first
        raise Denied(
            ReasonCode.NOT_AUTHORIZED if request.user_name is None or method else ReasonCode.BAD_USER_NAME_OR_PASSWORD,
            "no credential was presented that proves anyone",
        )


def default_chain(
    settings: Settings, directory: IdentityDirectory, authenticators: Sequence[Authenticator] = ()
) -> Chain:
    """Certificate, then password, then the embedder's own, then anonymous where a listener says so."""
    remembered_s = settings.broker.success_remembered_s
    open_listeners = [name for name, listener in settings.listeners.items() if listener.danger_anonymous is not None]
    return Chain(
        [
            CertificateAuthenticator(directory, remembered_s=remembered_s),
            PasswordAuthenticator(directory, remembered_s=remembered_s),
            *authenticators,
            AnonymousAuthenticator(open_listeners),
        ],
        directory,
    )
