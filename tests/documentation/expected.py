"""Whether a command printed what the page shows; what differs each time is compared by its form, and remembered."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

# Values that are new each time. Those in the first group are remembered: later on the page they stand for what was
# printed, as a reader would put in their own.
REMEMBERED = {
    "digest": r"\b[0-9a-f]{64}\b",
    "token": r"\b[0-9a-f]{48}\b",
    "app password": r"\b[A-Za-z0-9]{6}(?:-[A-Za-z0-9]{6}){3}(?![\w-])",
    "password": r"\b[A-Za-z0-9]{5}(?:-[A-Za-z0-9]{5}){3}(?![\w-])",
    "ref id": r"\bsess[a-z0-9]{8}\b",
    "uid": r"\b(?=[a-z0-9]*[0-9])[uc][a-z0-9]{15}\b",
    "secret or key id": r"(?<![\w-])[A-Za-z0-9_-]{43}(?![\w-])",
    "key of a second factor": r"\b[A-Z2-7]{32}\b",
    "user code": r"\b[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}\b",
    "recovery code": r"\b(?=[a-z]*[0-9])[a-z0-9]{12}\b",
}
FORGOTTEN = {
    "time": r"\b2[0-9]{3}-[01][0-9]-[0-3][0-9][T ][0-2][0-9]:[0-5][0-9]:[0-5][0-9](?:Z|\b)",
    "Unix time": r"\b[12][0-9]{9}\b",
}
_FORMS = {**REMEMBERED, **FORGOTTEN}
_ANY = re.compile("|".join(f"(?P<{name.replace(' ', '_')}>{form})" for name, form in _FORMS.items()))
_KEPT = {name.replace(" ", "_"): form for name, form in REMEMBERED.items()}


class Differs(AssertionError):
    """The output is not what the page shows."""


class Memory:
    """What the values on the page stand for now."""

    def __init__(self, fixed: Mapping[str, str]) -> None:
        self._fixed, self._now = dict(fixed), dict[str, str]()

    def learn(self, shown: str, now: str) -> None:
        """From here on *shown* stands for *now*."""
        self._now[shown] = now

    def put_in(self, text: str) -> str:
        """Return *text* with what its values stand for."""
        return _replaced(text, {**self._fixed, **self._now})

    def compare(self, expected: str, printed: str, *, as_json: bool) -> None:
        """Compare, and learn from it.

        Raises:
            Differs: something on the page was not printed, or otherwise.
        """
        expected = _replaced(expected, self._fixed)
        if as_json:
            self._same(_parsed(expected, "the page"), _last_json(printed), "")
            return
        rest = _plain(printed)
        for line in _plain(expected):
            if line in ("…", ""):
                continue
            number = next((number for number, one in enumerate(rest) if self._matches(line, one)), None)
            if number is None:
                raise Differs(f"the page shows {line!r}, which is not (or not once more) in:\n" + "\n".join(rest))
            del rest[number]  # lists have no order that a page could know

    def _same(self, expected: Any, printed: Any, where: str) -> None:
        if isinstance(expected, dict) and isinstance(printed, dict):
            for name, value in expected.items():
                if name not in printed:
                    raise Differs(f"{where or 'the answer'} has no {name!r}: {printed}")
                self._same(value, printed[name], f"{where}.{name}")
        elif isinstance(expected, list) and isinstance(printed, list):
            shown = [item for item in expected if item != "…"]
            if len(shown) == len(expected) != len(printed):
                raise Differs(f"{where} has {len(printed)} items, the page shows {len(shown)}: {printed}")
            rest = list(printed)
            for item in shown:
                del rest[self._place(item, rest, where)]
        elif isinstance(expected, str) and isinstance(printed, str):
            if not self._matches(expected, printed):
                raise Differs(f"{where} is {printed!r}, the page shows {expected!r}")
        elif not self._alike(expected, printed):
            raise Differs(f"{where} is {printed!r}, the page shows {expected!r}")

    def _place(self, item: Any, printed: list[Any], where: str) -> int:
        """Where in a list *item* is; lists have no order that a page could know."""
        reasons = []
        for number, candidate in enumerate(printed):
            before = dict(self._now)
            try:
                self._same(item, candidate, f"{where}[{number}]")
            except Differs as reason:
                self._now = before
                reasons.append(str(reason))
            else:
                return number
        raise Differs("\n".join(reasons) or f"{where} is empty, the page shows {item}")

    @staticmethod
    def _alike(expected: Any, printed: Any) -> bool:
        """Equal, or both times or lifetimes that run down while the page is read."""
        if type(expected) is int and type(printed) is int and expected > 60:
            return expected - 60 <= printed <= expected or (expected > 10**9 and printed > 10**9)
        return bool(expected == printed)

    def _matches(self, line: str, candidate: str) -> bool:
        learned: list[str] = []

        def pattern() -> Iterator[str]:
            end = 0
            for found in _ANY.finditer(line):
                yield _literal(line[end : found.start()])
                end = found.end()
                name = str(found.lastgroup)
                if found[0] in self._now:
                    yield re.escape(self._now[found[0]])
                elif name in _KEPT:
                    learned.append(found[0])
                    yield f"({_KEPT[name]})"
                else:
                    yield f"(?:{_FORMS[name.replace('_', ' ')]})"
            yield _literal(line[end:])

        found = re.fullmatch("".join(pattern()), candidate)
        if found is None:
            return False
        self._now.update(zip(learned, found.groups(), strict=True))
        return True


def _replaced(text: str, values: Mapping[str, str]) -> str:
    longest_first = "|".join(map(re.escape, sorted(values, key=len, reverse=True)))
    return re.sub(longest_first, lambda found: values[found[0]], text) if values else text


def _literal(text: str) -> str:
    return re.escape(text).replace("…", ".*?")


def _plain(text: str) -> list[str]:
    """Lines with the widths of tables taken out."""
    lines = (re.sub(r"-{3,}", "---", re.sub(r"[ \t]+", " ", line)).strip() for line in text.splitlines())
    return [line for line in lines if line]


def _parsed(text: str, whose: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise Differs(f"{whose} shows no JSON: {error}\n{text}") from None


def _last_json(printed: str) -> Any:
    """What was printed as JSON; after other lines, the last of them that is JSON."""
    try:
        return json.loads(printed)
    except ValueError:
        pass
    for line in reversed(printed.splitlines()):
        if line.startswith(("{", "[")):
            return _parsed(line, "the command")
    raise Differs(f"this is no JSON:\n{printed}")
