"""Topic Names and Topic Filters: parsed by the engine, so that the rules of 4.7 are written once.

The engine is imported when the first topic is parsed: names and settings need none.
"""

from typing import Self

from bartizan.errors import InvalidValue


class TopicName(str):
    """A Topic Name: not empty, no wildcard, no NUL ([MQTT-4.7.3-1], [MQTT-4.7.1-1])."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """The Topic Name, or `InvalidValue` with the engine's reason."""
        from bartizan import _engine  # noqa: PLC0415  see above

        try:
            return cls(_engine.parse_topic_name(text=text))
        except ValueError as error:
            raise InvalidValue(f"{text!r} is no Topic Name: {error}") from None


class TopicFilter(str):
    """A Topic Filter: wildcards stand for whole levels, `#` last ([MQTT-4.7.1-1..3])."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """The Topic Filter, or `InvalidValue` with the engine's reason."""
        from bartizan import _engine  # noqa: PLC0415  see above

        try:
            return cls(_engine.parse_topic_filter(text=text))
        except ValueError as error:
            raise InvalidValue(f"{text!r} is no Topic Filter: {error}") from None

    def matches(self, name: TopicName) -> bool:
        """Whether it matches a Topic Name."""
        from bartizan import _engine  # noqa: PLC0415  see above

        return _engine.filter_matches(filter=self, name=name)

    def covers(self, other: "TopicFilter") -> bool:
        """Whether it matches every Topic Name that `other` matches."""
        from bartizan import _engine  # noqa: PLC0415  see above

        return _engine.filter_covers(filter=self, other=other)
