"""The reader of pages notices what is wrong with a page: without that, all the other tests here would prove nothing."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.documentation.reader import Reader
from tools.docs.blocks import WrongComment, without_comments

ALONE = "<!-- page: no server -->\n\n"
TOKEN, OTHER = "4f1c0a9be27d5386a0d4c2f1b7e8935d60a1c8e2f4b7d913", "0b7e1d92c4f8563ad1e0b3c7f9a2864e5d0c1b8f7a6e3924"


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    """Somebody with a fresh folder."""
    made = Reader(tmp_path)
    yield made
    made.close()


@pytest.mark.parametrize(
    ("page", "why"),
    [
        ("```sh\nfalse\n```", "exit code 1"),
        ("```sh\nfalse\ntrue\n```", "exit code 1"),
        ("```sh\nfalse | true\n```", "exit code 1"),
        ("<!-- exit: 2 -->\n```sh\ntrue\n```", "exit code 0"),
        ("```sh\necho a\n```\n\n```text\nb\n```", "the page shows 'b'"),
        ("```sh\necho a\n```\n\n```text\na\na\n```", "not once more"),
        ('```sh\necho \'{"a": 1}\'\n```\n\n```json\n{"a": 2}\n```', "the page shows 2"),
        ('```sh\necho \'{"a": 1}\'\n```\n\n```json\n{"b": 1}\n```', "has no 'b'"),
        ('```sh\necho \'{"a": [1, 2]}\'\n```\n\n```json\n{"a": [1]}\n```', "has 2 items"),
        ("```sh\necho a\n```\n\n```json\n{}\n```", "no JSON"),
        ("```text\nnobody printed this\n```", "nothing says what to do"),
        ("```\nno language\n```", "nothing says what to do"),
        ("<!-- shown -->\n```sh\nfalse\n```", "exit code 1"),
        (f"```sh\necho {TOKEN}\necho {TOKEN[::-1]}\n```\n\n```text\n{OTHER}\n{OTHER}\n```", "not once more"),
    ],
)
def test_a_wrong_page_fails(reader: Reader, page: str, why: str) -> None:
    """With a sentence that says what is wrong, and where."""
    with pytest.raises(AssertionError, match="line ") as failure:
        reader.follow(ALONE + page)
    assert why in str(failure.value)


@pytest.mark.parametrize("comment", ["<!-- drawn -->", "<!-- not run: why -->\n\ntext"])
def test_a_comment_that_is_misspelt_or_leads_nowhere_fails(reader: Reader, comment: str) -> None:
    """So that no block escapes by a slip of the hand."""
    with pytest.raises(WrongComment):
        reader.follow(ALONE + comment)


def test_what_the_page_shows_stands_for_what_was_printed(reader: Reader) -> None:
    """As a reader puts in their own token; and a variable of the shell lives on."""
    page = f"""
```sh
MINE={OTHER}
echo $MINE
```

```text
{TOKEN}
```

```sh
test {TOKEN} = $MINE
```
"""
    reader.follow(ALONE + page)


def test_readers_see_no_comment_and_the_name_of_a_file() -> None:
    """In the site."""
    page = "<!-- run: true -->\nText\n\n<!-- file: a.yml -->\n```yaml\na: 1\n```\n"
    shown = without_comments(page)
    assert "<!--" not in shown
    assert ":caption: a.yml" in shown
