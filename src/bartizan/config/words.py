"""Values that sections of several kinds have: the reason for a risk, a URL."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator

REASON_CHARS_MIN = 3


def parse_reason(value: object) -> str:
    """A risk needs a reason in words: `true` and `""` are no reasons."""
    if not isinstance(value, str) or len(value.strip()) < REASON_CHARS_MIN:
        raise ValueError('give the reason in words, for example "lab bench 4, no route to the plant"')
    return value.strip()


def parse_url(text: str) -> str:
    """A URL of https, or of http where that is no risk or a `danger_*` setting allows it; without user, password or fragment."""
    parts = urlsplit(text)
    if parts.scheme not in {"https", "http"} or not parts.hostname:
        raise ValueError("write a URL such as https://id.example/certs")
    if "@" in parts.netloc or parts.fragment:
        raise ValueError("a URL here has neither user, password nor fragment: secrets are read from files")
    return text


Reason = Annotated[str, BeforeValidator(parse_reason)]
Url = Annotated[str, AfterValidator(parse_url)]
