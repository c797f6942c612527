"""The code of a test that asserts what a recording has."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from heliograph.flow.recording.importable_names import Importable
from heliograph.flow.recording.recorded_facts import Fact, Recording

# Errors of these modules need no import.
_BUILT_IN = "builtins"


def written_test(recording: Recording, command: str, arguments: Sequence[str]) -> str:
    """Return the code of a module with a test that calls a command and asserts what was recorded."""
    names = Names()
    assertions = [names.assertion(fact) for fact in recording.facts]
    fixtures = sorted({fact.verb.partition(".")[0] for fact in recording.facts}, reverse=True)
    name = re.sub(r"\W", "_", command)
    return "\n".join(
        [
            f'"""The command {command}, as `manage.py signals record` has recorded it."""',
            "",
            "import pytest",
            "from django.core.management import call_command",
            "",
            *names.imports(),
            "",
            f"pytestmark = {_mark(recording.databases)}",
            "",
            "",
            f"def test_{name}({', '.join(fixtures)}):",
            f"    call_command({', '.join(map(repr, [command, *arguments]))})",
            "",
            *(f"    {line}" for line in assertions),
            *(f"    # A test cannot import it: {text}" for text in recording.unnamed),
            "",
        ]
    )


def _mark(databases: Sequence[str]) -> str:
    if set(databases) <= {"default"}:
        return "pytest.mark.django_db"
    return f"pytest.mark.django_db(databases={sorted({'default', *databases})!r})"


class Names:
    """The names of a module that is written, each with what it is imported from."""

    def __init__(self) -> None:
        self._modules: dict[str, Importable] = {}  # by the name in the module

    def imports(self) -> list[str]:
        """Return the lines that import all names, one for each module."""
        by_module: dict[str, list[str]] = {}
        for name, (module, path) in self._modules.items():
            by_module.setdefault(module, []).append(path if name == path else f"{path} as {name}")
        return [
            f"from {module} import {', '.join(sorted(names))}"
            for module, names in sorted(by_module.items())
            if module != _BUILT_IN
        ]

    def name(self, found: Importable) -> str:
        """Return the expression for something, and import it. Of two with one name, the second has a longer one."""
        root, dot, rest = found.path.partition(".")
        origin = Importable(found.module, root)
        name = root if self._modules.get(root, origin) == origin else f"{found.module.replace('.', '_')}_{root}"
        self._modules[name] = origin
        return f"{name}{dot}{rest}"

    def assertion(self, fact: Fact) -> str:
        """Return the line that asserts a fact."""
        call = f"{fact.verb}({', '.join([self.name(fact.about), *self._keywords(fact)])})"
        return call if fact.error is None else f"assert isinstance({call}.outcome, {self.name(fact.error)})"

    def _keywords(self, fact: Fact) -> Iterator[str]:
        if fact.sender is not None:
            yield f"sender={fact.sender if isinstance(fact.sender, str) else self.name(fact.sender)}"
        yield from (f"{name}={text}" for name, text in fact.values)
