"""Every command in README.md and docs/ works: it is run, or at least known to the command line."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path

import pytest

from devctl.cli import table
from devctl.cli.arguments import CommandParser
from devctl.errors import ManifestError
from devctl.manifest.load import load
from tests.docs.conftest import DEMO, Stage
from tests.docs.pages import PAGES, ROOT, Fence, Page, page

SHELL = ("sh", "console")
PYTHON = [p for p in PAGES if any(fence.language == "python" and fence.runs for fence in p.fences)]
RUN = [p for p in PAGES if any(fence.language in SHELL and fence.runs for fence in p.fences)]
# A word of a command line: up to what a shell or a sentence puts between commands.
SEPARATORS = frozenset({"|", "||", "&&", ";", ">", "2>", "&"})


def script(fences: list[Fence]) -> str:
    """The commands of a page as one script, in which variables live on. The first that does not end as shown ends it all."""
    parts = []
    for fence in fences:
        for command, fails in fence.commands:
            where = shlex.quote(f"{fence.page}:{fence.line}")
            wanted = "-ne" if fails else "-eq"
            # Not errexit: in `a && b`, and after `if`, it does not do what a reader expects.
            steps = [command] if fence.language == "console" else joined(command)
            for step in steps:
                parts.append(f"echo == {where} {shlex.quote(step)} >&2")
                parts.append(step)
                parts.append(f"status=$?; [ $status {wanted} 0 ] || {{ echo exit status $status >&2; exit 99; }}")
    return "\n".join(parts)


def joined(text: str) -> list[str]:
    """The commands of an `sh` fence: its lines, without comments, those that end in a backslash joined with the next."""
    lines = [line for line in re.sub(r"\\\n", " ", text).splitlines() if line.strip() and not line.startswith("#")]
    return [re.sub(r"\s+# .*$", "", line) for line in lines]


@pytest.mark.parametrize("document", RUN, ids=str)
def test_commands_run(document: Page, stage: Callable[[Path], Stage]) -> None:
    """The page's commands, from the first to the last, end as it shows: the README's with the reference stack itself."""
    if str(document) == "README.md":
        pytest.importorskip("sklearn", reason="the reference stack is not installed")
    fences = [fence for fence in document.fences if fence.language in SHELL and fence.runs]
    for tool in ("curl", "ps"):
        if shutil.which(tool) is None and any(re.search(rf"^(\$ )?{tool} ", fence.text, re.MULTILINE) for fence in fences):
            pytest.skip(f"{tool} is not installed")
    result = stage(ROOT if str(document) == "README.md" else DEMO).run(script(fences))
    assert result.returncode == 0, f"{result.stderr[-3000:]}\n--- stdout\n{result.stdout[-2000:]}"


@pytest.mark.parametrize("document", PYTHON, ids=str)
def test_examples_in_python(document: Page, stage: Callable[[Path], Stage]) -> None:
    """Examples in Python do what they say; those with a test are run by pytest."""
    fences = [fence for fence in document.fences if fence.language == "python" and fence.runs]
    place = stage(DEMO)
    commands = []
    for number, fence in enumerate(fences):
        name = f"test_example_{number}.py"
        (place.project / name).write_text(fence.text)
        runs = f"-m pytest -q -p no:cacheprovider {name}" if "def test_" in fence.text else name
        commands.append(f"echo == {fence.page}:{fence.line} >&2; python {runs} || exit 99")
    result = place.run("\n".join(commands))
    assert result.returncode == 0, f"{result.stderr[-3000:]}\n--- stdout\n{result.stdout[-3000:]}"


MANIFESTS = [
    fence for p in PAGES for fence in p.fences if fence.language == "yaml" and fence.text.startswith(("services:", "name:"))
]


@pytest.mark.parametrize("fence", MANIFESTS, ids=lambda fence: f"{fence.page}:{fence.line}")
def test_manifests_are_valid(fence: Fence, tmp_path: Path) -> None:
    """Every manifest on a page loads without a problem; its programs need not be there."""
    path = tmp_path / "services.yaml"
    path.write_text(fence.text, encoding="utf-8")
    try:
        assert load([path], directory=tmp_path, environ={"API_TOKEN": "x"}, profiles=["*"], check_commands=False).services
    except ManifestError as error:
        pytest.fail(str(error))


def test_first_manifest_runs(stage: Callable[[Path], Stage]) -> None:
    """The manifest a reader of the README writes first comes up as it stands, but for the ports."""
    text = next(fence.text for fence in page("README.md").fences if fence.language == "yaml")
    place = stage(DEMO)
    (place.project / "services.yaml").write_text(text)
    result = place.run("devctl up -d --auto-ports && devctl down")
    assert result.returncode == 0, result.stderr


def command_lines(document: Page) -> Iterator[tuple[int, str]]:
    """Everything that reads `devctl …`, in fences and between backticks."""
    for fence in document.fences:
        if fence.language in SHELL:
            for offset, line in enumerate(fence.text.splitlines()):
                for match in re.finditer(r"\bdevctl (?=[a-z-])([^|;&>)]*)", line):
                    yield fence.line + offset, match[1]
    for number, text in document.inline:
        if text.startswith("devctl "):
            yield number, text.removeprefix("devctl ")


def unknown(words: list[str]) -> str | None:
    """What a command line has that devctl does not know; None when all is well."""
    globals_ = CommandParser("", "")
    while words and words[0].startswith("-"):
        if words[0] not in ("--version", "--help") and words[0] not in globals_._option_string_actions:
            return f"option {words[0]}"
        takes = words[0] not in ("--version", "--help", "-h")
        words = words[1 + takes :]
    if not words or not re.fullmatch(r"[a-z]+", words[0]):
        return None
    command = table.find(words[0])
    if command is None:
        return None if words[0] in table.LATER else f"command {words[0]}"
    parser = CommandParser(words[0], "")
    import_module(f"devctl.cli.{command.module}").configure(parser, table.ALIASES.get(words[0], words[0]))
    for word in words[1:]:
        if word in ("--", "#") or word in SEPARATORS:
            break
        option = word.split("=")[0]
        if re.fullmatch(r"--?[a-z][a-z-]*", option) and option not in parser._option_string_actions:
            return f"option {option} of {words[0]}"
    return None


@pytest.mark.parametrize("document", PAGES, ids=str)
def test_commands_exist(document: Page) -> None:
    """Every command and option that a page names is one that the command line knows, also where it is not run."""
    wrong = []
    for number, line in command_lines(document):
        try:
            words = shlex.split(line, comments=True)
        except ValueError:
            words = line.split()
        if (problem := unknown(words)) is not None:
            wrong.append(f"{document}:{number}: devctl {line}: {problem}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("name", table.COMMANDS)
def test_command_reference_is_complete(name: str) -> None:
    """docs/cli.md has a section for every command, and names there all its options."""
    text = page("docs/cli.md").section(f"devctl {name}")
    assert text, f"docs/cli.md has no section `devctl {name}`"
    parser = CommandParser(name, "")
    shared = set(parser._option_string_actions)
    import_module(f"devctl.cli.{table.COMMANDS[name].module}").configure(parser, name)
    own = [action for action in parser.declared if set(action.option_strings) - shared]
    missing = [
        option for action in own for option in action.option_strings if not re.search(rf"{re.escape(option)}(?![a-z-])", text)
    ]
    assert not missing, f"docs/cli.md, devctl {name}: {', '.join(missing)}"


def test_what_is_not_run_says_why() -> None:
    """A fence that is left out has a reason, and no mark is misspelt."""
    for document in PAGES:
        for fence in document.fences:
            assert fence.mark == "" or re.fullmatch(r"not run: \S.{5,}", fence.mark), f"{document}:{fence.line}: {fence.mark}"
