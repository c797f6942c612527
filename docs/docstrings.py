"""Docstrings as pages: plain sentences become reStructuredText, with links to the names that they mention.

A docstring of Heliograph is text for people who read the source: code stands between single backticks, names of
errors and `None` stand bare, an example is indented. Sphinx calls `on_docstring` and `on_signature` for each name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache
from inspect import isgeneratorfunction
from pathlib import Path
from typing import Any

API = Path(__file__).parent / "api"
DIRECTIVE = re.compile(r"^\.\. auto\w+:: (\S+)\n((?: +:.*\n)*)", re.MULTILINE)
MEMBERS = re.compile(r":members: (.*)")

CODE = re.compile(r"(`[^`]+`)")
# Code that stands in a sentence without backticks: None, TypeError, pre_save, "shop.Order".
BARE = re.compile(
    r"""(?<![\w=])(?<!\w\()(?:"[\w.%:*-]+"|(?:None|True|False|[A-Z]\w+(?:Error|Group|Warning)|ImproperlyConfigured"""
    r"""|FieldDoesNotExist|RevertRefused|[a-z][a-z0-9]*(?:_[a-z0-9]+)+(?:\(\))?)(?!\w))"""
)


@cache
def documented() -> dict[str, str]:
    """Return the full names of the reference by all names under which a docstring mentions them."""
    full = [name for page in sorted(API.glob("*.md")) for name in names_on(page.read_text(encoding="utf-8"))]
    return {short: name for name in reversed(full) for short in mentioned_as(name)}


def names_on(page: str) -> Iterator[str]:
    """Yield the full names that a page describes, with the names of the members."""
    for name, options in DIRECTIVE.findall(page):
        yield name
        for members in MEMBERS.findall(options):
            yield from (f"{name}.{member}" for member in members.split(", "))


def mentioned_as(name: str) -> Iterator[str]:
    """Yield what a docstring may write for a name: `Signal.connect`, `Batch`, and `drain()` for a function."""
    *home, last = name.split(".")
    is_member = home[-1][0].isupper() or home[-2:] == ["context", "context"]
    if is_member:
        yield f"{home[-1]}.{last}"
        yield f"{home[-1]}.{last}()"
    elif last[0].isupper():
        yield last
    yield from (name, f"{name}()") if is_member else (name, f"{name}()", f"{last}()")


def as_restructured_text(text: str, own: str) -> str:
    """Return a docstring as reStructuredText; `own` is the name that it describes, which is no link."""
    paragraphs = re.split(r"\n\n+", text.strip("\n"))
    return "\n\n".join(sentences(one, own) if is_prose(one) else one for one in with_directives(paragraphs))


def with_directives(paragraphs: Iterable[str]) -> Iterator[str]:
    """Yield the paragraphs, with a directive before each example: an indented paragraph after one that is not."""
    before = ""
    for paragraph in paragraphs:
        if not is_prose(paragraph) and is_prose(before):
            yield ".. code-block:: python"
        yield paragraph
        before = paragraph


def is_prose(paragraph: str) -> bool:
    """Return whether a paragraph is text, and not an example."""
    return not paragraph.startswith(("    ", ".. "))


def sentences(paragraph: str, own: str) -> str:
    """Return sentences with their code, between backticks or bare, as links or as literals."""
    parts = CODE.split(paragraph)
    parts[::2] = [BARE.sub(lambda found: as_code(found[0], own), part) for part in parts[::2]]
    parts[1::2] = [as_code(part[1:-1], own) for part in parts[1::2]]
    return "".join(parts)


def as_code(code: str, own: str) -> str:
    """Return a link to the name that a piece of code is, or else the code."""
    target = documented().get(code)
    if target is None or target == own or own.startswith(f"{target}."):
        return f"``{code}``"
    return f":py:obj:`{code} <{target}>`"


def on_docstring(app: Any, what: str, name: str, value: Any, options: Any, lines: list[str]) -> None:
    """Replace the lines of a docstring by the lines for its page."""
    if what == "data" and (comment := comment_of(name, value)):
        lines[:] = comment
    if what == "data" and (carried := getattr(value, "_carries", None)):
        names = ", ".join(f"`{one}`" for one in carried)
        lines += ["", f"It sends {names}.".replace("`using`", "`using` (the alias of the database)")]
    lines[:] = [*as_restructured_text("\n".join(lines), name).split("\n"), ""]


def comment_of(name: str, value: Any) -> list[str]:
    """Return the comment `#:` above a variable, in the module of its class."""
    from sphinx.pycode import ModuleAnalyzer  # the tests of this module do without Sphinx

    comments = ModuleAnalyzer.for_module(type(value).__module__).find_attr_docs()
    return list(comments.get(("", name.rpartition(".")[2]), ()))


TYPE = re.compile(r"~?\b((?:[a-z_]\w*\.)+)(\w+)")
CLASS = re.compile(r"<class '([\w.]+)'>")
# Parts of signatures that say too much or too little.
SHOWN = {
    r": ~?Unpack\[[^]]*\]": "",  # `**options` says enough
    r"Literal\[[^]]{60,}\]": "str",
    r"\bLimit\b": "timedelta | float | None",
    r"\bAnySignal\b": "Signal",
}
REFUSED = re.compile(r"(, )?\*\*unknown: [^,)]*\]")
# Of a class that nobody but Heliograph calls: a model, a protocol, a queryset, a backend.
NOT_TO_CALL = re.compile(r"<factory>|\*args, \*\*kwargs|\bhints=|\bget_response\b|\balias: str, options\b|methodName")


def on_signature(app: Any, what: str, name: str, value: Any, options: Any, args: Any, returned: Any) -> Any:
    """Make a signature short, with links to public types, and without what nobody may give."""
    if what == "class" and NOT_TO_CALL.search(args or ""):
        return "", None
    if returned and isgeneratorfunction(getattr(value, "__wrapped__", None)):
        returned = returned.replace("Iterator[", "AbstractContextManager[", 1)
    return args and readable(REFUSED.sub("", args)), None if returned == "None" else returned and readable(returned)


def readable(types: str) -> str:
    """Return a part of a signature with the names of types alone, and with the public path of public ones."""
    types = TYPE.sub(short_type, CLASS.sub(r"\1", types)).replace("[[...]", "[...")
    for pattern, shown in SHOWN.items():
        types = re.sub(pattern, shown, types)
    return types


def short_type(found: re.Match[str]) -> str:
    """Return the name of a type, for Sphinx: with the path of its description if there is one, which is a link."""
    module, name = found.groups()
    full = documented().get(name, "") if module.startswith("heliograph.") else ""
    return f"~{full}" if full else name


def setup(app: Any) -> dict[str, Any]:
    """Connect the functions to the events of Sphinx."""
    app.connect("autodoc-process-docstring", on_docstring)
    app.connect("autodoc-process-signature", on_signature)
    return {"parallel_read_safe": True}
