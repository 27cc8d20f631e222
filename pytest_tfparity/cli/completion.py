"""What a shell needs to complete the commands and options of ``tfparity``, made from its parser."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias

_Words: TypeAlias = Mapping[str, tuple[str, ...]]


def completion(shell: str, parser: argparse.ArgumentParser, causes: Iterable[str]) -> str:
    """The script for ``shell`` that completes ``parser``; ``explain`` is followed by one of ``causes``."""
    commands = dict(_commands(parser))
    words: _Words = {
        name: (*_options(command), *_choices(command), *(causes if name == "explain" else ()))
        for name, command in commands.items()
    }
    if shell == "fish":
        return "\n".join(_fish(parser, commands, words)) + "\n"
    script = _BASH.format(
        top=shlex.quote(" ".join([*words, *_options(parser)])),
        cases="\n".join(f"    {name}) words={shlex.quote(' '.join(each))};;" for name, each in words.items()),
    )
    return script if shell == "bash" else f"autoload -U +X bashcompinit && bashcompinit\n{script}"


_BASH = """\
_tfparity() {{
  local words current=${{COMP_WORDS[COMP_CWORD]}}
  case "${{COMP_WORDS[1]}}" in
{cases}
    *) words={top};;
  esac
  [ "$COMP_CWORD" -eq 1 ] && words={top}
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}}
complete -o default -F _tfparity tfparity
"""


def _fish(
    parser: argparse.ArgumentParser, commands: Mapping[str, argparse.ArgumentParser], words: _Words
) -> Iterator[str]:
    start = "complete -c tfparity"
    for name in _options(parser):
        yield f"{start} -n __fish_use_subcommand -l {name.removeprefix('--')}"
    for name in commands:
        yield f"{start} -f -n __fish_use_subcommand -a {name}"
        inside = f"{start} -n '__fish_seen_subcommand_from {name}'"
        for word in words[name]:
            plain = word.removeprefix("--")
            yield f"{inside} -l {plain}" if plain != word else f"{inside} -a {shlex.quote(word)}"


def _commands(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    for action in parser._actions:  # argparse has no other way to its commands
        if isinstance(action, argparse._SubParsersAction):
            yield from action.choices.items()


def _options(parser: argparse.ArgumentParser) -> Iterator[str]:
    for action in parser._actions:
        yield from (name for name in action.option_strings if name.startswith("--"))


def _choices(parser: argparse.ArgumentParser) -> Iterator[str]:
    """The words that may stand in a place of their own."""
    for action in parser._actions:
        if not action.option_strings and action.choices:
            yield from map(str, action.choices)
