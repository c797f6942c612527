"""The command `recipes`, as somebody runs it on a terminal."""

from io import StringIO

from django.core.management import call_command


def run(*arguments):
    """Run `manage.py recipes`; return the exit status and the lines that it prints."""
    out, status = StringIO(), 0
    try:
        call_command("recipes", *arguments, stdout=out, stderr=out)
    except SystemExit as end:
        status = end.code
    return status, out.getvalue().splitlines()
