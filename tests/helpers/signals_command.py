"""Run `manage.py signals` in this process."""

from io import StringIO
from typing import Any, NamedTuple

from django.core.management import call_command


class Printed(NamedTuple):
    """What a verb has printed."""

    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """The lines of the output."""
        return self.out.splitlines()


def signals(*arguments: Any) -> Printed:
    """Run a verb, such as `signals("list", "--app", "shop")`, and return what it has printed."""
    out, err = StringIO(), StringIO()
    call_command("signals", *map(str, arguments), stdout=out, stderr=err)
    return Printed(out.getvalue().rstrip("\n"), err.getvalue().rstrip("\n"))
