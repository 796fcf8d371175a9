"""mosquitto.conf, read: a key and its value a line, comments with `#` in the first column."""

from dataclasses import dataclass

from bartizan.errors import ConfigurationError

_WORDS = {"true": True, "1": True, "false": False, "0": False}


@dataclass(frozen=True, slots=True)
class Directive:
    """One line."""

    key: str
    value: str
    file: str
    line: int

    def wrong(self, what: str, fix: str) -> ConfigurationError:
        """An error at this line."""
        return ConfigurationError(what, f"{self.file}:{self.line}", fix)

    def flag(self) -> bool:
        """Its true or false."""
        word = _WORDS.get(self.value.lower())
        if word is None:
            raise self.wrong(f"{self.key} is true or false", f"not {self.value!r}")
        return word

    def whole(self) -> int:
        """Its whole number."""
        try:
            return int(self.value)
        except ValueError:
            raise self.wrong(f"{self.key} is a whole number", f"not {self.value!r}") from None


def read_directives(content: bytes, file: str) -> list[Directive]:
    """The directives of one file, in its order."""
    found: list[Directive] = []
    for number, raw in enumerate(content.split(b"\n"), start=1):
        try:
            line = raw.rstrip(b" \t\n\v\f\r").decode()
        except UnicodeDecodeError:
            raise ConfigurationError("this is not UTF-8", f"{file}:{number}", "save the file as UTF-8") from None
        if line.startswith("#"):
            continue
        key, _, value = line.lstrip(" ").partition(" ")
        if key:
            found.append(Directive(key, value.strip(), file, number))
    return found
