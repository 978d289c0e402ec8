"""Prints vittne(1): the program's own help, as a manual page. Runs with the program's environment."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator

from vittne.appliance.cli import parser
from vittne.appliance.version import VERSION

_FILES = (
    ("/etc/vittne/vittne.toml", "Settings."),
    ("/etc/vittne/credentials", "Encrypted secrets for the service, see systemd-creds(1)."),
    ("/var/lib/vittne", "Recordings, catalogue, keys and ledger of the service."),
)


def text(words: str) -> str:
    """Return words as roff reads them: no backslash, hyphen or leading dot means anything."""
    lines = words.replace("\\", "\\e").replace("-", "\\-").splitlines()
    return "\n".join("\\&" + line if line[:1] in (".", "'") else line for line in lines)


def commands(of: argparse.ArgumentParser, said: str = "") -> Iterator[tuple[argparse.ArgumentParser, str]]:
    """Yield every command with what is said of it, in the order of the help; groups before what is in them."""
    for action in of._actions:
        if isinstance(action, argparse._SubParsersAction):
            words = {choice.dest: choice.help or "" for choice in action._choices_actions}
            for name, command in action.choices.items():
                yield command, words.get(name, "")
                yield from commands(command)


def options(of: argparse.ArgumentParser) -> Iterator[str]:
    """Yield what a command takes, one paragraph each."""
    formatter = of._get_formatter()
    for action in of._actions:
        if isinstance(action, (argparse._SubParsersAction, argparse._HelpAction)) or action.help == argparse.SUPPRESS:
            continue
        heading = re.sub(r"\s+", " ", formatter._format_action_invocation(action))
        words = formatter._expand_help(action) if action.help else ""
        yield f".TP\n.B {text(heading)}\n{text(words) or 'The same for every command.'}"


def usage(of: argparse.ArgumentParser) -> str:
    return re.sub(r"\s+", " ", of.format_usage()).removeprefix("usage: ").strip()


def page() -> str:
    """Return the whole page."""
    top = parser()
    lines = [
        f'.TH VITTNE 1 "" "vittne {VERSION}" "Vittne"',
        ".ad l",
        ".SH NAME",
        "vittne \\- call recorder for a mirror port",
    ]
    lines += [".SH SYNOPSIS", ".B vittne", ".I COMMAND", "[\\fIOPTION\\fR...]", ".SH DESCRIPTION"]
    lines += [text(top.description or ""), ".PP", "As a service it is vittne.service, which records what", ".I"]
    lines[-1] = "/etc/vittne/vittne.toml says."
    lines.append(".SH COMMANDS")
    for command, words in commands(top):
        lines += [f'.SS "{text(command.prog)}"', text(command.description or words), ".PP", text(usage(command))]
        lines += list(options(command))
    lines.append(".SH FILES")
    for path, words in _FILES:
        lines += [".TP", f".I {text(path)}", text(words)]
    lines += [".SH EXIT STATUS", "0: done. 1: not done, with what, where and what next. 2: wrong usage."]
    lines += [".SH SEE ALSO", ".BR systemctl (1),", ".BR systemd\\-creds (1)"]
    return "\n".join(line for line in lines if line) + "\n"


print(page(), end="")
