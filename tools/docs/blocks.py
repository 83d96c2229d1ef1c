"""Code blocks of a Markdown page, and the comments before them that say how a test treats them.

A comment of one or more lines stands alone before a block and is not shown. Blocks of `sh` are run, in order, in one
shell a page; a `text` or `json` block after one shows what it prints. The comments:

    <!-- page: no server -->        the page starts its own server (anywhere on the page)
    <!-- file: NAME -->             the block is the content of a file, written beside the commands
    <!-- background: TEXT -->       the command goes on running; its output is awaited until it has TEXT
    <!-- exit: N -->                it ends with this exit code
    <!-- let: WORDS = COMMAND -->   the page's WORDS stand for what COMMAND prints now
    <!-- run: COMMAND -->           a command of the test alone
    <!-- shown -->                  something to look at, in no language that can be run
    <!-- not run: REASON -->        an exemption; tests/documentation lists them all
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

NAMES = ("page", "file", "background", "exit", "let", "run", "shown", "not run")
_COMMENT = re.compile(r"<!--\s*(?P<name>[a-z ]+?)(?::\s*(?P<value>.*?))?\s*-->", re.DOTALL)
_PART = re.compile(
    r"^(?P<indent>[ ]*)```(?P<language>[^\n`]*)\n(?P<text>.*?)^(?P=indent)```[ ]*$"
    r"|^[ ]*(?P<comment><!--.*?-->)[ ]*$",
    re.DOTALL | re.MULTILINE,
)


@dataclass(frozen=True)
class Block:
    """A code block, or a comment that stands for itself.

    Args:
        language: empty for a comment, and for a block that names none.
        text: without the indentation of the list it stands in.
        comments: name to value of the comments before it.
        line: where it begins, counted from 1.
    """

    language: str
    text: str
    line: int
    comments: Mapping[str, str] = field(default_factory=dict)
    prints: bool = False


class WrongComment(ValueError):
    """A comment with an unknown name, or without its block."""


def blocks(page: str) -> Iterator[Block]:
    """Yield the code blocks and the comments that stand for themselves, in order.

    Raises:
        WrongComment: a comment is misspelt, or no block follows it.
    """
    waiting: dict[str, str] = {}
    after_command = False
    for found in _PART.finditer(page):
        line = page.count("\n", 0, found.start()) + 1
        if found["comment"]:
            comment = _COMMENT.fullmatch(found["comment"])
            if comment is None or comment["name"] not in NAMES:
                raise WrongComment(f"line {line}: {found['comment']} is none of {', '.join(NAMES)}")
            name, value = comment["name"], comment["value"] or ""
            if name in ("page", "let", "run"):
                yield Block("", "", line, {name: value})
            else:
                waiting[name] = value
            continue
        language = found["language"].strip()
        text = re.sub(rf"^{found['indent']}", "", found["text"], flags=re.MULTILINE)
        prints = after_command and not waiting and language in ("text", "json")
        yield Block(language, text, line, waiting, prints)
        after_command = language == "sh" and "not run" not in waiting
        waiting = {}
    if waiting:
        raise WrongComment(f"no block follows the comment {next(iter(waiting))!r}")


def without_comments(page: str) -> str:
    """Return the page as readers see it: the name of a file stands above its content."""

    def shown(found: re.Match[str]) -> str:
        if found["comment"]:
            comment = _COMMENT.fullmatch(found["comment"])
            return "" if comment and comment["name"] in NAMES else found[0]
        return found[0]

    titled = re.sub(
        r"^(?P<indent>[ ]*)<!-- file: (?P<name>[^\n]*?) -->\n(?P=indent)```(?P<language>\w+)\n",
        r"\g<indent>```{code-block} \g<language>\n\g<indent>:caption: \g<name>\n\n",
        page,
        flags=re.MULTILINE,
    )
    return _PART.sub(shown, titled)
