"""The dialogs of the live view: what is about to be done, to whom, and why. Nothing is done that was not confirmed there."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Static

from bartizan.cli.live.acts import Answers, Question
from bartizan.errors import InvalidValue
from bartizan.model.ids import REMARK_CHARS_MAX, parse_remark


class Ask(ModalScreen[Answers | None]):
    """Shows a question; its answers, or None for no."""

    CSS = """
    Ask { align: center middle; }
    #question { width: 74; height: auto; max-height: 22; padding: 0 1; border: round $foreground; background: $surface; }
    #question Static { margin-bottom: 1; }
    #wrong { text-style: bold; height: auto; }
    #question Input { height: 3; border: round $foreground; }
    #buttons { height: 1; }
    #buttons Button { margin-right: 2; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "no", "Cancel")]

    def __init__(self, question: Question) -> None:
        super().__init__()
        self._question = question

    # pyrefly: ignore[missing-override-decorator]  Python 3.11 has none
    def compose(self) -> ComposeResult:
        """See `Screen`."""
        with VerticalScroll(id="question"):
            yield Static("\n".join((self._question.title, *self._question.lines)), markup=False)
            for asked in self._question.asked:
                field = Input(asked.value, max_length=REMARK_CHARS_MAX, id=asked.name)
                field.border_title = asked.label
                yield field
            yield Static("", id="wrong", markup=False)
            with Horizontal(id="buttons"):
                yield Button(f"< {self._question.verb} >", id="yes", compact=True)
                yield Button("< Cancel (Esc) >", id="no", compact=True)

    def on_mount(self) -> None:
        """What is to be filled in first has the focus; where there is nothing, what changes nothing."""
        fields = self.query(Input)
        (fields.first() if fields else self.query_one("#no", Button)).focus()

    def on_input_submitted(self) -> None:
        """Enter goes on to the next field, and behind the last one it is a yes."""
        fields = list(self.query(Input))
        at = next((place for place, field in enumerate(fields) if field.has_focus), len(fields) - 1)
        if at + 1 < len(fields):
            fields[at + 1].focus()
        else:
            self._yes()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """A button."""
        if event.button.id == "yes":
            self._yes()
        else:
            self.action_no()

    def action_no(self) -> None:
        """Nothing is done."""
        self.dismiss(None)

    def _yes(self) -> None:
        answers = {asked.name: self.query_one(f"#{asked.name}", Input).value.strip() for asked in self._question.asked}
        empty = next((one for one in self._question.asked if one.is_needed and not answers[one.name]), None)
        try:
            for text in answers.values():
                parse_remark(text)
        except InvalidValue as error:
            self._wrong(str(error))
            return
        if empty is not None:
            self._wrong(f"{empty.label}: this is needed")
            self.query_one(f"#{empty.name}", Input).focus()
            return
        self.dismiss(answers)

    def _wrong(self, text: str) -> None:
        self.query_one("#wrong", Static).update(text)
