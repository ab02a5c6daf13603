"""Command strings: what is executed, shown by the shell itself where one is used."""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devctl.manifest.command import BadCommand, parse_command


@pytest.mark.parametrize(
    ("text", "argv"),
    [
        ("python -m app", ("python", "-m", "app")),
        ("  python   app.py \n", ("python", "app.py")),
        ("echo 'a b' \"c d\"", ("echo", "a b", "c d")),
        ("echo '$HOME' '*'", ("echo", "$HOME", "*")),
        ("echo a\\ b", ("echo", "a b")),
        ("curl http://x/a#b", ("curl", "http://x/a#b")),
        ("env A=1 b", ("env", "A=1", "b")),
        ("python -c 'import x; x.y()'", ("python", "-c", "import x; x.y()")),
        ("echo \0services.a.port\0", ("echo", "\0services.a.port\0")),
    ],
)
def test_direct(text: str, argv: tuple[str, ...]) -> None:
    """Without shell syntax a text is split and no shell runs."""
    command = parse_command(text)
    assert command.argv == argv
    assert command.program == argv[0]


@pytest.mark.parametrize(
    ("text", "script", "program"),
    [
        ("serve > log 2>&1", "exec serve > log 2>&1", "serve"),
        ("serve $PORT", "exec serve $PORT", "serve"),
        ("serve ${PORT}", "exec serve ${PORT}", "serve"),
        ("serve *.py", "exec serve *.py", "serve"),
        ("serve ~/x", "exec serve ~/x", "serve"),
        ("A=1 B='x y' serve -x", "A=1 B='x y' exec serve -x", "serve"),
        ('serve "$A"', 'exec serve "$A"', "serve"),
        ("serve # don't", "exec serve # don't", "serve"),
        ("serve $(date)", "serve $(date)", None),
        ("serve `date`", "serve `date`", None),
        ("a && b", "a && b", None),
        ("a | b", "a | b", None),
        ("a; b", "a; b", None),
        ("a & b", "a & b", None),
        ("(a)", "(a)", None),
        ("a\nb", "a\nb", None),
        ("a <<X\nb 'c\nX", "a <<X\nb 'c\nX", None),
        ("cd x", "cd x", None),
        ("exit 3", "exit 3", None),
        ("exec serve", "exec serve", None),
        ("! serve", "! serve", None),
        ("A=1", "A=1", None),
        ("$SERVE x", "$SERVE x", None),
        ("'a'$B c", "'a'$B c", None),
        ("2>/dev/null serve", "2>/dev/null serve", None),
    ],
)
def test_shell(text: str, script: str, program: str | None) -> None:
    """With shell syntax it runs under sh, with exec where it is one simple command."""
    command = parse_command(text)
    assert command.argv == ("/bin/sh", "-c", script)
    assert command.program == program


@pytest.mark.parametrize("text", ["echo 'x", 'echo "x', "a && echo 'x", "''", "", "x \\"])
def test_bad(text: str) -> None:
    """An open quote and nothing at all are refused."""
    with pytest.raises(BadCommand):
        parse_command(text)


def test_named_shell() -> None:
    """`shell:` takes the text as it is."""
    assert parse_command("a && b", ("bash", "-c")).argv == ("bash", "-c", "a && b")


def test_list_is_argv() -> None:
    """A list is executed as it is."""
    command = parse_command(("echo", "a b", "*"))
    assert command.argv == ("echo", "a b", "*")
    assert command.text == "echo 'a b' '*'"


@pytest.mark.parametrize(
    "text",
    [
        "A=1 printenv A",
        "A='x y' B=2 printenv A",
        "printf '%s,' a 'b c' \"d$HOME\"",
        'printf \'%s,\' "a\\$b" a\\ b "c\\"d" "e\\f"',
        "printf '%s,' $HOME ${HOME} $(echo x) `echo y`",
        "echo a > /dev/null",
        "echo a 1>&2 2>/dev/null",
        "echo a; echo b",
        "echo a#b # don't",
        "printf '%s' a\\\nb",
        "if true; then echo yes; fi",
        "true && { echo x; }",
    ],
)
def test_same_as_sh(text: str) -> None:
    """What is executed prints what sh would print for the text."""
    environ = {**os.environ, "HOME": "/some home"}
    expected = subprocess.run(["/bin/sh", "-c", text], capture_output=True, env=environ, timeout=60)
    actual = subprocess.run(parse_command(text).argv, capture_output=True, env=environ, timeout=60)
    assert (actual.stdout, actual.returncode) == (expected.stdout, expected.returncode)


@pytest.mark.parametrize("text", ["{python} {script} 2> /dev/null", "A=1 {python} {script} $B", "{python} {script} # note"])
def test_exec_leaves_no_shell(tmp_path: Path, text: str) -> None:
    """With exec the process that was started becomes the program: it reports that process's id."""
    (tmp_path / "script.py").write_text("import os; print(os.getpid())")
    command = parse_command(text.format(python=shlex.quote(sys.executable), script=shlex.quote(str(tmp_path / "script.py"))))
    assert " exec " in f" {command.argv[-1]}"
    with subprocess.Popen(command.argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.communicate(timeout=60)[0] == f"{process.pid}\n"


@given(st.text(max_size=60))
def test_never_breaks(text: str) -> None:
    """Any text is parsed or refused."""
    with contextlib.suppress(BadCommand):
        assert parse_command(text).argv


@given(
    st.lists(
        st.text(alphabet=st.characters(exclude_characters="\0", codec="utf-8"), min_size=1, max_size=12), min_size=1, max_size=5
    )
)
def test_quoted_words_come_back(words: list[str]) -> None:
    """Words quoted as for a shell are those words again, executed directly or by the shell."""
    command = parse_command(shlex.join(["printf", *words]))
    assert command.argv[-len(words) :] == tuple(words) or command.argv[0] == "/bin/sh"
