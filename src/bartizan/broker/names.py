"""What the policy in force says about names, whichever that is by then."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from bartizan.authn.binding import Names

if TYPE_CHECKING:
    from bartizan.broker.app import Broker


class PolicyNames(Names):
    """`Names` of one broker."""

    def __init__(self, broker: "Broker") -> None:
        self._broker = broker

    def client_ids(self, roles: Iterable[str], /) -> tuple[str, ...]:
        """See `Names`."""
        return self._broker.in_force.policy.client_ids(roles)

    def user_names(self, roles: Iterable[str], /) -> tuple[str, ...]:
        """See `Names`."""
        return self._broker.in_force.policy.user_names(roles)

    def credential_days_max(self, roles: Iterable[str], /) -> Mapping[str, int]:
        """See `Names`."""
        return self._broker.in_force.policy.credential_days_max(roles)
