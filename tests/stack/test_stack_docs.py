"""The docs agent: cutting Markdown into passages and finding the right one."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from stack.router.agents import Question
from stack.router.agents.docs import DocsAgent
from stack.router.agents.passages import Passage, passages, read_passages
from stack.router.sessions import Turn


@pytest.fixture(scope="module")
def agent(docs_dir: Path) -> DocsAgent:
    return DocsAgent(read_passages(docs_dir))


def ask(agent: DocsAgent, message: str, *history: Turn) -> str:
    async def reply() -> str:
        return "".join([text async for text in agent.stream(Question(message, "docs", history))])

    return asyncio.run(reply())


def test_a_passage_knows_its_headings() -> None:
    """Deeper headings nest; a heading of the same level replaces its predecessor."""
    found = list(passages("a.md", "# One\n\ntext\n\n## Two\n\nmore\n\n## Three\nlast\n"))
    assert [(each.section, each.text) for each in found] == [
        ("a.md > One", "text"),
        ("a.md > One > Two", "more"),
        ("a.md > One > Three", "last"),
    ]


def test_a_hash_in_a_code_block_is_no_heading() -> None:
    """Comments in code stay in the code, blank lines included; only the same mark ends it."""
    block = "```sh\n# not a heading\n\n~~~\ntrue\n```"
    assert [each.text for each in passages("a.md", f"# One\n{block}\nafter\n")] == [block, "after"]


def test_rows_and_items_are_passages() -> None:
    """A table row is a passage about its first cell, without the table's head; so is a list item."""
    found = list(passages("a.md", "# T\n| key | what |\n|---|---|\n| `port` | number |\n\n- one\n- two\n  more\n"))
    assert found == [
        Passage("a.md > T", "T `port`", "| `port` | number |"),
        Passage("a.md > T", "T", "- one"),
        Passage("a.md > T", "T", "- two\n  more"),
    ]


@pytest.mark.parametrize(
    ("question", "section"),
    [
        ("what does depends_on do?", "docs/guide.md > Guide > Keys"),
        ("how do I install the kettle", "README.md > Kettle > Install"),
        ("how often should I descale with vinegar", "docs/guide.md > Guide > Descaling"),
    ],
)
def test_an_answer_names_its_section(agent: DocsAgent, question: str, section: str) -> None:
    """The reply begins with the section that it quotes."""
    assert ask(agent, question).startswith(f"From {section}:\n\n")


def test_a_question_beyond_the_documentation(agent: DocsAgent) -> None:
    """Nothing near is said to be nothing, not answered with the nearest."""
    assert ask(agent, "who won the olympic marathon").startswith("I found nothing about that")


def test_a_follow_up_is_understood_by_the_question_before(agent: DocsAgent) -> None:
    """A message that finds nothing by itself is searched together with the one before it."""
    before = (Turn("user", "what is depends_on?"), Turn("assistant", "…"))
    assert "waits until another service is ready" in ask(agent, "and why?", *before)


def test_no_documentation_is_said(tmp_path: Path) -> None:
    """A place without documentation gives an agent that says so."""
    assert ask(DocsAgent(read_passages(tmp_path)), "anything").startswith("I found no documentation")


def test_undecodable_files_are_read(tmp_path: Path) -> None:
    """Bytes that are no UTF-8 do not keep the rest of a file from being found."""
    (tmp_path / "README.md").write_bytes(b"# Title\n\nsome \xff\xfe teapot\n")
    assert "teapot" in ask(DocsAgent(read_passages(tmp_path)), "teapot")


def test_what_a_colon_announces_comes_with_it() -> None:
    """A paragraph that ends with a colon is quoted with what follows in its section, and nothing of the next one."""
    text = "# Keys\n\n## Kettles\n\nA kettle is one of:\n\n- the red one\n- the blue one\n\n## Cups\n\n- none\n"
    reply = ask(DocsAgent(list(passages("a.md", text))), "kettles?")
    assert "the blue one" in reply
    assert "none" not in reply
