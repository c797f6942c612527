"""A story as text: numbered chapters, each with a line for each receiver and what is known about it below."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from textwrap import wrap

from heliograph.flow.connected_receivers import ANY_SENDER
from heliograph.flow.listing import extras
from heliograph.flow.stories.chapters import Chapter, Chapters
from heliograph.flow.stories.expected_receivers import Expected, Verdict, may_call

WIDTH = 110  # characters of the longest line
_NAME = 40  # characters of the longest name beside which a file stands in its column


def lines_of(story: Chapters) -> Iterator[str]:
    """Yield the lines of a story."""
    yield from _paragraph(f"{story.asked}: from what is connected; nothing was run.")
    yield ""
    shown = [chapter for chapter in story.autocommit if may_call(chapter.receivers) or _happens(chapter)]
    width = _width(story)
    for number, chapter in enumerate(shown, 1):
        yield from _chapter(number, chapter, width, story)
    yield from _group("if rolled back", may_call(story.on_rollback), width, story)
    yield from _group("not called", story.not_called, width, story)
    yield ""
    for text in (*_other_order(story, shown), *story.remarks):
        yield from _paragraph(text)


def _paragraph(text: str) -> list[str]:
    return wrap(text, WIDTH, subsequent_indent="  ", break_on_hyphens=False)


def _happens(chapter: Chapter) -> bool:
    """Return whether a chapter is shown that has no receiver: what the database does, and Django's own signals."""
    return chapter.kind in _ALWAYS


_ALWAYS = ("row", "commit", "pre_save", "post_save", "pre_delete", "emptied", "post_delete")


def _width(story: Chapters) -> int:
    names = [len(one.name) for one in (*story.receivers(), *story.not_called)]
    return min(max(names, default=0), _NAME)


# --- chapters -----------------------------------------------------------------------------------------------------

_TITLE = 24  # characters of the column of titles, with the number of the chapter


def _chapter(number: int, chapter: Chapter, width: int, story: Chapters) -> Iterator[str]:
    title, called = f"{number:>2} {chapter.title}", may_call(chapter.receivers)
    text = chapter.text if not called or not chapter.text else f"({chapter.text})"
    nobody = ["-"] if _is_of_signal(chapter) and not called else []
    lines = [line for one in called for line in _receiver(one, width, story)]
    yield from _beside(title, [*_wrapped(text), *lines] or nobody)


def _is_of_signal(chapter: Chapter) -> bool:
    return chapter.kind not in ("row", "commit")


def _group(title: str, receivers: Sequence[Expected], width: int, story: Chapters) -> Iterator[str]:
    lines = [line for one in receivers for line in _receiver(one, width, story)]
    yield from _beside(f"   {title}", lines) if lines else ()


def _beside(title: str, lines: Sequence[str]) -> Iterator[str]:
    """Yield a title in its column with lines beside it; above them, where the title is too long."""
    if len(title) >= _TITLE and lines:
        yield title
        title = ""
    for head, line in zip_longest([title], lines, fillvalue=""):
        yield f"{head.ljust(_TITLE)}{line}".rstrip()


def _wrapped(text: str, indent: str = "") -> list[str]:
    """Return a text in lines beside the column of titles."""
    return wrap(text, WIDTH - _TITLE, initial_indent=indent, subsequent_indent=f"{indent}  ", break_on_hyphens=False)


# --- receivers ----------------------------------------------------------------------------------------------------


def _receiver(one: Expected, width: int, story: Chapters) -> Iterator[str]:
    """Yield the lines of a receiver: its name, file and options, and below them what it does."""
    room = WIDTH - _TITLE
    first, details = f"{one.name.ljust(width)}  {one.where}", ", ".join(_details(one, story))
    if len(first) + 2 + len(details) <= room:
        first, details = f"{first}  {details}".rstrip(), ""
    yield from _wrapped(first) if len(first) > room else [first]
    more = () if one.verdict is Verdict.NOT_CALLED else (one.declared, _writes(one), one.about)
    for text in (details, *more):
        yield from _wrapped(text, "  ")


def _details(one: Expected, story: Chapters) -> Iterator[str]:
    if one.sender is not story.asked.model:
        yield f"of {one.sender._meta.label}"
    if one.connected_to == ANY_SENDER:
        yield ANY_SENDER
    if one.verdict is Verdict.NOT_CALLED:
        yield one.reason
        return
    if one.reason:
        yield one.reason
    elif "when" in one.options:
        yield extras({"when": one.options["when"]})
    others = [pair for pair in one.options.items() if pair[0] != "when" and pair != _USUAL]
    yield from (extras(dict([pair])) for pair in others)


_USUAL = ("reentrant", "skip")  # as @receiver connects


def _writes(one: Expected) -> str:
    return f"writes {', '.join(one.writes)}" if one.writes else ""


# --- the other order ----------------------------------------------------------------------------------------------


def _other_order(story: Chapters, shown: Sequence[Chapter]) -> Iterator[str]:
    """Yield how the order differs inside of atomic()."""
    numbers = {chapter.kind: number for number, chapter in enumerate(shown, 1)}
    if story.autocommit == story.atomic or "post_save" not in numbers:
        return
    beside = f", with the receivers of {numbers['after_write']} among its own" if "after_write" in numbers else ""
    later = numbers.get("before_commit", numbers["commit"])
    yield (
        f"Inside atomic(), post_save ({numbers['post_save']}) comes right after the row ({numbers['row']}){beside};"
        f" {later} and what follows come when the outermost block ends."
    )
