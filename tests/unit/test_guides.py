"""The guides can be carried out: `make test-guides` does it; here is how it reads them."""

from pathlib import Path

import pytest

from ..guides.pages import Command, File, steps

PROJECT = Path(__file__).parents[2]
GUIDES = sorted((PROJECT / "common/guides").glob("*.md"))


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.stem)
def test_each_guide_has_commands_and_the_top_page_leads_to_it(page):
    assert any(isinstance(step, Command) for step in steps(page))
    assert f"(common/guides/{page.name})" in (PROJECT / "README.md").read_text()


def test_commands_files_and_what_is_shown_are_distinguished(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "`a/b.py`, the whole:\n\n```python\nx = 1\n```\n\n"
        "```sh\nmake one\nmake two \\\n  more  # ends with status 2\n```\n"
        "```text\nfirst… end\n```\n\n```sh\nSETTING_A=1 make run SERVICE=x\n```\n"
    )
    assert list(steps(page)) == [
        File("a/b.py", "x = 1\n"),
        Command("make one"),
        Command("make two   more  # ends with status 2", 2, ("first… end",)),
        Command("SETTING_A=1 make run SERVICE=x"),
    ]
    assert [step.runs_on for step in steps(page) if isinstance(step, Command)] == [False, False, True]


def test_a_block_of_no_file_is_an_error(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("Some text.\n\n```python\nx = 1\n```\n")
    with pytest.raises(ValueError, match="of which file is 'x = 1'"):
        list(steps(page))


def test_what_a_command_shows_has_to_come_in_its_order():
    command = Command("x", shown=("one… end", "two"))
    assert command.missing("one and the end\nmore\n  two\n") == []
    assert command.missing("two\none, end\n") == ["two"]
    assert command.missing("one\ntwo\n") == ["one… end"]
