"""What people make of findings: on record first, then in the file that detectors write too."""

from collections.abc import Sequence

from bartizan.audit.trail import Trail
from bartizan.errors import InvalidValue
from bartizan.model.finding import Kept, Mute
from bartizan.model.ids import parse_remark
from bartizan.store.findings import FindingStore


def acknowledge(store: FindingStore, trail: Trail, numbers: Sequence[int], why: str) -> list[Kept]:
    """Somebody has seen to them; all, or `NotFound` and none."""
    with trail.changing("finding.acknowledge", f"finding/{','.join(map(str, numbers))}", why=why):
        return store.acknowledge(numbers, trail.actor.name, why)


def mute(store: FindingStore, trail: Trail, wanted: Mute) -> Mute:
    """Nobody is told of such findings until then."""
    of = "" if wanted.about is None else f"{wanted.about}:{wanted.name}"
    after = {"of": of, "until": wanted.until.isoformat()}
    with trail.changing("detector.mute", f"detector/{wanted.detector}", after=after, why=wanted.why):
        return store.mute(wanted)


def unmute(store: FindingStore, trail: Trail, number: int) -> Mute:
    """What is found from then on is told."""
    with trail.changing("detector.unmute", f"mute/{number}"):
        return store.unmute(number)


def reason_of(why: str) -> str:
    """The reason, or `InvalidValue` for none."""
    if not why.strip():
        raise InvalidValue("give a reason: why")
    return parse_remark(why)
