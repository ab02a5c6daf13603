"""`devctl completion SHELL`: a script that asks devctl itself what fits, so that it is never out of date."""

from __future__ import annotations

import argparse
from argparse import Namespace
from importlib import import_module
from typing import TYPE_CHECKING

from devctl.cli import table
from devctl.cli.arguments import CommandParser

if TYPE_CHECKING:
    from devctl.cli.where import Where

# Each script hands over the words before the cursor and the one under it, and gets back lines of "candidate<TAB>help". A line that
# is "@files" or "@directories" leaves it to the shell.
SCRIPTS = {
    "bash": r"""
_devctl() {
    local line candidates=()
    local IFS=$'\n'
    for line in $(devctl __complete -- "${COMP_WORDS[@]:1:COMP_CWORD-1}" "${COMP_WORDS[COMP_CWORD]}" 2>/dev/null); do
        case $line in
            @files) compopt -o default; COMPREPLY=(); return ;;
            @directories) compopt -o dirnames; COMPREPLY=(); return ;;
        esac
        candidates+=("${line%%$'\t'*}")
    done
    COMPREPLY=("${candidates[@]}")
}
complete -F _devctl devctl
""",
    "zsh": r"""
#compdef devctl
_devctl() {
    local line name
    local -a candidates
    for line in "${(@f)$(devctl __complete -- "${(@)words[2,CURRENT-1]}" "${words[CURRENT]}" 2>/dev/null)}"; do
        case $line in
            @files) _files; return ;;
            @directories) _files -/; return ;;
            '') continue ;;
        esac
        name=${line%%$'\t'*}
        candidates+=("${name//:/\\:}:${line#*$'\t'}")
    done
    _describe devctl candidates
}
if [ "$funcstack[1]" = _devctl ]; then _devctl "$@"; else compdef _devctl devctl; fi
""",
    "fish": r"""
function __devctl_complete
    set -l words (commandline -opc)
    for line in (devctl __complete -- $words[2..-1] (commandline -ct) 2>/dev/null)
        switch $line
            case @files
                __fish_complete_path (commandline -ct)
            case @directories
                __fish_complete_directories (commandline -ct)
            case '*'
                echo $line
        end
    end
end
complete -c devctl -f -a '(__devctl_complete)'
""",
}

HOW = {
    "bash": "devctl completion bash > ~/.local/share/bash-completion/completions/devctl",
    "zsh": "devctl completion zsh > a file called _devctl in a directory of $fpath",
    "fish": "devctl completion fish > ~/.config/fish/completions/devctl.fish",
}

TAKES_REST = True


def configure(parser: CommandParser, name: str) -> None:
    """Declares the options of `name`."""
    if name == "completion":
        parser.add_argument("shell", choices=tuple(SCRIPTS), help="; ".join(HOW.values()))


def run(args: Namespace, where: Where) -> int:
    """Prints a script, or what fits after the words in `args.rest`."""
    if args.name == "completion":
        print(SCRIPTS[args.shell].strip())
    else:
        words = args.rest or [""]
        for candidate, help in complete(words[:-1], words[-1]):
            print(f"{candidate}\t{help}" if help else candidate)
    return 0


def complete(before: list[str], word: str) -> list[tuple[str, str]]:
    """(candidate, help) for `word`, which comes after `before`."""
    from devctl.cli.main import command_position

    position = command_position(before)
    parser = CommandParser("", "")
    name = before[position] if position < len(before) else None
    command = table.find(name) if name is not None else None
    if name is not None:
        if command is None:
            return []
        parser = CommandParser(name, command.help)
        import_module(f"devctl.cli.{command.module}").configure(parser, table.ALIASES.get(name, name))
    after = before if name is None else before[position + 1 :]
    pending = _option(parser, after[-1]) if after else None
    if pending is not None and pending.nargs != 0:
        found = _values(pending, parser, before)
    elif word.startswith("-"):
        found = [(text, action.help or "") for action in parser.declared for text in action.option_strings]
    elif name is None:
        found = [(entry, row.help) for entry, row in table.COMMANDS.items()]
    else:
        found = _positionals(parser, after, before)
    return [(text, help) for text, help in found if text.startswith((word, "@"))]


def _option(parser: CommandParser, text: str) -> argparse.Action | None:
    for action in parser.declared:
        if text in action.option_strings:
            return action
    return None


def _positionals(parser: CommandParser, after: list[str], before: list[str]) -> list[tuple[str, str]]:
    """Values for the argument that the next plain word is."""
    given = [
        word for index, word in enumerate(after)
        if not word.startswith("-")
        and not (index and (option := _option(parser, after[index - 1])) is not None and option.nargs != 0)
    ]  # fmt: skip
    arguments = [action for action in parser.declared if not action.option_strings]
    if not arguments:
        return []
    action = arguments[min(len(given), len(arguments) - 1)]
    if len(given) >= len(arguments) and action.nargs not in ("*", "+"):
        return []
    return [(text, help) for text, help in _values(action, parser, before) if text not in given]


def _values(action: argparse.Action, parser: CommandParser, before: list[str]) -> list[tuple[str, str]]:
    if action.choices is not None:
        return [(str(choice), "") for choice in action.choices]
    completer = parser.completers.get(action.dest)
    if completer == "services":
        from devctl.cli.names import service_names

        return [(name, "") for name in service_names(_where(before))]
    return [] if completer is None else [(f"@{completer}", "")]


def _where(before: list[str]) -> Where:
    """The stack that the words so far mean."""
    from devctl.cli.where import Where

    given: dict[str, list[str]] = {"--file": [], "--directory": [], "--profile": []}
    short = {"-f": "--file", "-C": "--directory"}
    position_of_command = next((i for i, word in enumerate(before) if table.find(word)), len(before))
    for index, word in enumerate(before[:-1]):
        long = short.get(word, word) if index < position_of_command else word
        if long in given:
            given[long].append(before[index + 1])
    directory = given["--directory"][-1] if given["--directory"] else None
    return Where.of(directory, given["--file"], given["--profile"])
