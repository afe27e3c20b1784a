"""What an API and a function give in place of good pages, and declarations with slips."""

import json
import random
from collections.abc import Callable, Iterator
from datetime import date
from decimal import Decimal
from typing import Any

from apis import Answer, Asked
from bad_inputs import ODD_COLUMNS, ODD_TEXTS, Bad


def page(chance: random.Random, bad: Bad) -> Callable[[Asked], Answer]:
    """What an API answers for the items; sometimes no page at all, or no end of them."""
    body: dict[str, Any] = {"items": bad.data}
    text = json.dumps(body).encode()
    deep = b'{"items": ' + b"[" * 200_000
    answers: list[Answer] = [
        Answer(b"<html><body>Sorry</body></html>", headers={"Content-Type": "text/html"}),
        Answer(text, 500),
        Answer(text, 403),
        Answer(text[: len(text) // 2]),
        Answer(text, cut=True),
        Answer(b""),
        Answer(text.decode().encode("utf-16")),
        Answer(b"\x1f\x8b" + text, headers={"Content-Encoding": "gzip"}),
        Answer({**body, "next": f"/{bad.name}"}),
        Answer({**body, "next": f"/{bad.name}?page=2"}),
        Answer(b"", 302, headers={"Location": f"/{bad.name}"}),
        Answer({**body, "next": "file:///etc/passwd"}),
        Answer({**body, "next": "http://127.0.0.1:1/x"}),
        Answer({**body, "next": {"a": 1}}),
        Answer(deep),
        Answer(b"{} {}"),
    ]
    if chance.random() < 0.5:
        return lambda _: Answer(body)
    number = chance.randrange(len(answers) + 2)
    if number < len(answers):
        return lambda _: answers[number]

    def endless(asked: Asked) -> Answer:
        """The same page for ever, under other addresses."""
        at = int(asked.query.get("at", ["0"])[0])
        return Answer({"items": [bad.data[0]], "next": f"/{bad.name}?at={at + 1}"})

    def circling(asked: Asked) -> Answer:
        at = int(asked.query.get("at", ["0"])[0])
        return Answer({**body, "next": f"/{bad.name}?at={(at + 1) % 3}"})

    return circling if number % 2 else endless


def given(chance: random.Random, bad: Bad) -> Callable[[], Any]:
    """What a function gives for the items; sometimes it fails on the way."""
    rows = bad.data
    values = [{1, 2}, b"\xff", Decimal("NaN"), date(1, 1, 1), range(3), Bad, float("inf"), 1j]
    value = chance.choice(values)

    def fails() -> Iterator[Any]:
        yield rows[0]
        raise chance.choice([ValueError("no\nmore"), KeyError("k"), OSError(5, "I/O"), OddError()])

    def cyclic() -> Iterator[Any]:
        around: dict[str, Any] = dict(rows[0])
        around["self"] = around
        yield around

    def deep() -> Iterator[Any]:
        inner: Any = 1
        for _ in range(5_000):
            inner = [inner]
        yield {**rows[0], "deep": inner}

    def odd() -> Iterator[Any]:
        for row in rows:
            yield {**row, "odd": value, 7: None}

    ways: list[Callable[[], Any]] = [
        lambda: rows,
        lambda: (row for row in rows),
        lambda: iter([rows[:1], rows[1:]]),
        lambda: [[row] for row in rows],
        fails,
        cyclic,
        deep,
        odd,
        lambda: [*rows, None, 7, "x", [], [[]]],
    ]
    return chance.choice(ways)


class OddError(Exception):
    """An error that nobody knows."""


def declaration(chance: random.Random, good: str) -> bytes:
    """A declaration with a slip or three."""
    lines = good.splitlines()
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(lines))
        key, _colon, value = lines[at].partition(":")
        match chance.randrange(9):
            case 0:
                del lines[at : at + 1]
            case 1:
                lines.insert(at, lines[chance.randrange(len(lines))])
            case 2:
                lines[at] = " " * chance.randrange(5) + lines[at]
            case 3:
                lines[at] = f"{key}: {chance.choice(ODD_TEXTS)[:50]}"
            case 4:
                lines[at] = f"{key}x:{value}"
            case 5:
                lines[at] += chance.choice([" {", " ]", " &a *a", " !!python/object:os.x", "\t:"])
            case 6:
                lines[at] = f"{key}: {json.dumps(chance.choice(ODD_COLUMNS))}"
            case 7:
                lines.insert(at, chance.choice(["---", "- *b", "? [", "%YAML 9", "<<: 7", "..."]))
            case 8:
                lines[at] = chance.choice(["\x00", "\ufeff", "\x1b", "é"]) + lines[at]
        lines = lines or [""]
    text = "\n".join(lines)
    return text.encode(chance.choice(["utf-8", "utf-8", "utf-8", "latin-1", "utf-16"]), "replace")
