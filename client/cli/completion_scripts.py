"""Completion for shells, made of the parser: commands, options, choices, and ids of jobs."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

SHELLS: Final = ("bash", "zsh", "fish")
#: Seconds that a shell waits for the JobManager's list.
LIST_SECONDS: Final = 3
#: What completes the word that follows: a shell function of the scripts, or files.
_BY_METAVAR: Final = {"JOB": "jobs", "KEY=VALUE": "keys"}


@dataclass(frozen=True, slots=True)
class Word:
    """An option or a positional argument.

    Attributes:
        flags: of an option; none of a positional.
        help: one line.
        takes: what its value is: "" (it has none), "jobs", "keys", "files", or "choices".
        choices: of the value.
    """

    flags: tuple[str, ...]
    help: str
    takes: str
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Command:
    """One command of `lesto`."""

    name: str
    help: str
    words: tuple[Word, ...]

    @property
    def flags(self) -> list[str]:
        """All flags of its options."""
        return [flag for word in self.words for flag in word.flags]

    @property
    def positional(self) -> Word | None:
        """Its first positional argument."""
        return next((word for word in self.words if not word.flags), None)


def described(parser: argparse.ArgumentParser) -> list[Command]:
    """Return the commands of a parser."""
    (subparsers,) = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    helps = {action.dest: action.help or "" for action in subparsers._choices_actions}
    return [
        Command(name, helps.get(name, ""), tuple(map(_word, made._actions)))
        for name, made in subparsers.choices.items()
    ]


def _word(action: argparse.Action) -> Word:
    flags = tuple(action.option_strings)
    help = (action.help or "").replace("\n", " ")
    if action.nargs == 0:
        return Word(flags, help, "")
    if action.choices:
        return Word(flags, help, "choices", tuple(map(str, action.choices)))
    metavar = action.metavar if isinstance(action.metavar, str) else ""
    return Word(flags, help, _BY_METAVAR.get(metavar, "files"))


def script(shell: str, parser: argparse.ArgumentParser, keys: Iterable[str]) -> str:
    """Return the completion script of a shell.

    Args:
        shell: bash, zsh or fish.
        parser: of `lesto`.
        keys: of all options of the configuration.
    """
    commands = described(parser)
    make = {"bash": _bash, "zsh": _zsh, "fish": _fish}[shell]
    return make(commands, sorted(keys))


def _values(word: Word) -> str:
    """What completes a value, as an argument of the scripts' own function."""
    if word.takes == "choices":
        return " ".join(word.choices)
    return f"@{word.takes}"


def _cases(commands: Sequence[Command]) -> Iterable[tuple[str, str]]:
    """``command:flag`` and what completes its value; ``command:`` for the positional."""
    for command in commands:
        for word in command.words:
            for flag in word.flags if word.takes else ():
                yield f"{command.name}:{flag}", _values(word)
        if command.positional is not None:
            yield f"{command.name}:", _values(command.positional)


def _lookup(commands: Sequence[Command]) -> list[str]:
    """The tables of bash and zsh, as a function of both: what fits in a place."""
    lines = ["_lesto_values() {", '  case "$1" in']
    lines += [f"    {shlex.quote(place)}) echo {shlex.quote(v)};;" for place, v in _cases(commands)]
    lines += ["    *) echo;;", "  esac", "}", "", "_lesto_flags() {", '  case "$1" in']
    lines += [f"    {c.name}) echo {shlex.quote(' '.join(c.flags))};;" for c in commands]
    names = " ".join(command.name for command in commands)
    lines += [f"    *) echo {shlex.quote(names + ' --help --version')};;", "  esac", "}", ""]
    lines += [
        "_lesto_jobs() {",
        f"  timeout {LIST_SECONDS} lesto list 2>/dev/null | awk 'NR > 1 && $1 ~ /^[0-9a-f]+$/ "
        "{print $1}'",
        "}",
        "",
    ]
    return lines


def _bash(commands: Sequence[Command], keys: Sequence[str]) -> str:
    return "\n".join(
        [
            "# bash completion of lesto: source <(lesto completion bash)",
            *_lookup(commands),
            f"_lesto_keys={shlex.quote(' '.join(f'{key}=' for key in keys))}",
            "",
            "_lesto() {",
            '  local current="${COMP_WORDS[COMP_CWORD]}" before="" command="" i',
            "  ((COMP_CWORD > 1)) && before=${COMP_WORDS[COMP_CWORD-1]}",
            "  for ((i = 1; i < COMP_CWORD; i++)); do",
            "    if [[ ${COMP_WORDS[i]} != -* ]]; then command=${COMP_WORDS[i]}; break; fi",
            "  done",
            "  COMPREPLY=()",
            '  local values=""',
            "  if [[ -n $command && $before == -* ]]; then",
            '    values=$(_lesto_values "$command:$before")',
            "  fi",
            "  if [[ -z $values && $current != -* && -n $command ]]; then",
            '    values=$(_lesto_values "$command:")',
            "  fi",
            '  if [[ -z $values || $current == -* ]]; then values=$(_lesto_flags "$command"); fi',
            '  case "$values" in',
            '    @jobs) COMPREPLY=($(compgen -W "$(_lesto_jobs)" -- "$current"));;',
            "    @keys) compopt -o nospace",
            '      COMPREPLY=($(compgen -W "$_lesto_keys" -- "$current"));;',
            '    @files) compopt -o filenames; COMPREPLY=($(compgen -f -- "$current"));;',
            '    *) COMPREPLY=($(compgen -W "$values" -- "$current"));;',
            "  esac",
            "}",
            "complete -F _lesto lesto",
            "",
        ]
    )


def _zsh(commands: Sequence[Command], keys: Sequence[str]) -> str:
    return "\n".join(
        [
            "#compdef lesto",
            "# zsh completion of lesto: lesto completion zsh > a folder of $fpath, as _lesto",
            *_lookup(commands),
            f"_lesto_keys={shlex.quote(' '.join(f'{key}=' for key in keys))}",
            "",
            "_lesto() {",
            '  local current="${words[CURRENT]}" before="" command="" values="" i',
            "  ((CURRENT > 2)) && before=${words[CURRENT-1]}",
            "  for ((i = 2; i < CURRENT; i++)); do",
            "    if [[ ${words[i]} != -* ]]; then command=${words[i]}; break; fi",
            "  done",
            "  if [[ -n $command && $before == -* ]]; then",
            '    values=$(_lesto_values "$command:$before")',
            "  fi",
            "  if [[ -z $values && $current != -* && -n $command ]]; then",
            '    values=$(_lesto_values "$command:")',
            "  fi",
            '  if [[ -z $values || $current == -* ]]; then values=$(_lesto_flags "$command"); fi',
            '  case "$values" in',
            '    @jobs) compadd -- ${(f)"$(_lesto_jobs)"};;',
            "    @keys) compadd -S '' -- ${=_lesto_keys};;",
            "    @files) _files;;",
            "    *) compadd -- ${=values};;",
            "  esac",
            "}",
            'if [[ "$funcstack[1]" = "_lesto" ]]; then _lesto "$@"; else compdef _lesto lesto; fi',
            "",
        ]
    )


def _fish(commands: Sequence[Command], keys: Sequence[str]) -> str:
    lines = [
        "# fish completion of lesto: lesto completion fish | source",
        "function __lesto_jobs",
        f"    timeout {LIST_SECONDS} lesto list 2>/dev/null | string match -r '^[0-9a-f]{{32}}'",
        "end",
        f"set -g __lesto_keys {' '.join(f'{key}=' for key in keys)}",
        "complete -c lesto -f",
    ]
    for command in commands:
        lines.append(
            f"complete -c lesto -n __fish_use_subcommand -a {command.name} "
            f"-d {shlex.quote(command.help)}"
        )
    for command in commands:
        seen = f"complete -c lesto -n '__fish_seen_subcommand_from {command.name}'"
        for word in command.words:
            lines.append(f"{seen} {_fish_word(word)}")
    return "\n".join([*lines, ""])


def _fish_word(word: Word) -> str:
    parts = []
    for flag in word.flags:
        kind = "-l" if flag.startswith("--") else "-s" if len(flag) == 2 else "-o"
        parts.append(f"{kind} {flag.lstrip('-')}")
    values = {
        "": "",
        "choices": f"-a {shlex.quote(' '.join(word.choices))}",
        "jobs": "-a '(__lesto_jobs)'",
        "keys": "-a '$__lesto_keys'",
        "files": "-F",
    }[word.takes]
    if word.takes and word.flags:
        parts.append("-r" if word.takes == "files" else "-x")
    return " ".join([*parts, values, "-d", shlex.quote(word.help)]).replace("  ", " ")
