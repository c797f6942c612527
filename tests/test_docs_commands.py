"""The commands that the documentation names exist, with the options that it gives them."""

import re
import shlex
from pathlib import Path

import pytest
from django.core.management import CommandError, load_command_class

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

pytestmark = pytest.mark.database_independent

# Each command of ours, with the app that has it.
APPS = {
    "audit": "heliograph.audit",
    "outbox": "heliograph.outbox",
    "recipes": "heliograph",
    "signals": "heliograph",
    "webhooks": "heliograph.recipes.webhooks",
}
WRITTEN = re.compile(rf"manage\.py ({'|'.join(APPS)}) ([^`\n]+)")
IN_A_LIST = re.compile(r'"manage\.py", "(outbox)", ([^\]\n]+)\]')  # of a Dockerfile, Compose or Kubernetes
PLACEHOLDERS = re.compile(r"[\[\]|…]|\.\.\.|\b[A-Z]{4,}\b(?<!READY)(?<!DEAD)")


def name_of(page):
    return page.relative_to(ROOT).as_posix().removeprefix("docs/")


def commands(page):
    """Yield the command and the words after it, for each that is written out, without a placeholder."""
    text = page.read_text(encoding="utf-8")
    in_lists = ((name, " ".join(re.findall(r'"([^"]+)"', words))) for name, words in IN_A_LIST.findall(text))
    for name, words in (*WRITTEN.findall(text), *in_lists):
        line = words.partition("#")[0].strip().rstrip(".,;:)")
        if line and not PLACEHOLDERS.search(line):
            yield name, line


@pytest.mark.parametrize("page", [page for page in PAGES if [*commands(page)]], ids=name_of)
def test_the_commands_of_a_page_exist(page):
    assert [f"{name} {line}" for name, line in commands(page) if not exists(name, line)] == []


def parser_of(name):
    parser = load_command_class(APPS[name], name).create_parser("manage.py", name)
    parser.called_from_command_line = False  # raises an error, and does not exit
    return parser


def exists(name, line):
    try:
        parser_of(name).parse_args(shlex.split(line))
    except CommandError as error:  # a file that is not here, or a verb without what it takes, is none of this
        return not re.search("unrecognized arguments|invalid choice", str(error))
    return True


def test_a_command_that_does_not_exist_is_found():
    assert not exists("outbox", "run --threads 4")
    assert not exists("outbox", "begin")
    assert exists("outbox", "run --concurrency 4")


# --- the options of Django --------------------------------------------------------------------------------------


def verbs_of(name):
    return sorted(next(one.choices for one in parser_of(name)._actions if one.dest == "verb"))


# What a verb cannot be without.
NEEDED = {
    ("audit", "forget"): ["app.Ware", "1"],
    ("audit", "import"): ["simple_history"],
    ("signals", "check-drift"): ["flow.json"],
    ("signals", "explain"): ["app.Ware"],
}


@pytest.mark.parametrize(("name", "verb"), [(name, verb) for name in APPS for verb in verbs_of(name)])
def test_options_of_all_commands_are_taken_before_and_after_the_verb(name, verb):
    flags = ["--settings", "shop.production", "--traceback", "--skip-checks", "-v", "0"]
    needed = NEEDED.get((name, verb), [])
    for words in ([*flags, verb, *needed], [verb, *flags, *needed]):
        options = parser_of(name).parse_args(words)
        found = (options.settings, options.traceback, options.skip_checks, options.verbosity)
        assert found == ("shop.production", True, True, 0)
