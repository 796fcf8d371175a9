"""`bartizan completion`: the completion script of a shell."""

from typing import Literal


def completion(shell: Literal["bash", "zsh", "fish"], /) -> int:
    """Print the completion script of a shell.

    For example:

        bartizan completion bash > ~/.local/share/bash-completion/completions/bartizan

    Parameters
    ----------
    shell
        The shell.
    """
    from bartizan.cli.app import build_app  # noqa: PLC0415  app names this module

    print(build_app().generate_completion(shell=shell))
    return 0
