"""The files that strangers look for say what is true, and lead somewhere."""

import re
import tomllib

import pytest
import yaml

from tests.crash.programs import OF_SERVERS
from tools.environments import ROOT
from tools.fragments import BASE
from tools.services import BROKERS, DATABASES
from tools.versions import COMMON_PYTHON, PYTHONS, REQUIRED_PYTHONS, SUPPORTED

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def rooms(text):
    """The packages that have a row in a table."""
    return {*re.findall(r"^\| `(\w+)/` \|", text, re.MULTILINE)}


def test_the_house_of_the_design_is_the_one_that_stands():
    text = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")

    assert rooms(text) == {path.parent.name for path in (ROOT / "src" / "heliograph").glob("*/__init__.py")}


def test_the_policies_name_the_versions_that_are_tested():
    rows = re.findall(r"^\| (\d\.\d) \| (3[\d., ]+) \|$", (ROOT / "docs" / "policies.md").read_text(), re.MULTILINE)
    assert {django: tuple(pythons.split(", ")) for django, pythons in rows} == SUPPORTED


@pytest.mark.parametrize(
    ("family", "versions"), [("Framework :: Django", [*SUPPORTED]), ("Programming Language :: Python", [*PYTHONS])]
)
def test_the_package_names_the_versions_that_are_tested(family, versions):
    pattern = re.compile(rf"{family} :: (\d\.\d+)")
    assert [match[1] for one in PROJECT["classifiers"] if (match := pattern.fullmatch(one))] == versions


def test_the_package_requires_the_versions_that_are_tested():
    newest = tuple(map(int, [*SUPPORTED][-1].split(".")))
    assert PROJECT["requires-python"] == f">={PYTHONS[0]}"
    assert f"Django>={next(iter(SUPPORTED))},<{newest[0]}.{newest[1] + 1}" in PROJECT["dependencies"]


# --- the workflow and the forms ---------------------------------------------------------------------------------


def yaml_files():
    return [*ROOT.glob(".github/**/*.yml")]


@pytest.fixture
def workflow():
    return yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))


@pytest.fixture
def job(workflow):
    (job,) = workflow["jobs"].values()
    return job


@pytest.mark.parametrize("path", yaml_files(), ids=lambda path: path.name)
def test_a_file_of_yaml_is_a_mapping(path):
    assert isinstance(yaml.safe_load(path.read_text(encoding="utf-8")), dict)


def test_the_workflow_runs_for_main_and_for_pull_requests(workflow):
    assert workflow[True] == {"push": {"branches": ["main"]}, "pull_request": None}  # YAML takes the key `on` for true


def test_the_workflow_tests_by_the_script_of_ci_and_nothing_else(job):
    commands = [step["run"] for step in job["steps"] if "run" in step]

    assert commands[-1] == "bash .ci/run"
    assert [one for one in commands[:-1] if "make" in one or "pytest" in one] == []


def test_the_workflow_has_the_services_where_the_tests_look_for_them(job):
    usual = {"postgresql": "5432:5432", "mariadb": "3306:3306", "redis": "6379:6379", "rabbitmq": "5672:5672"}
    assert {*usual} == {service.name for service in (*DATABASES, *BROKERS)}
    assert {name: service["ports"] for name, service in job["services"].items()} == {
        name: [ports] for name, ports in usual.items()
    }


def test_the_workflow_has_the_pythons_that_are_required_and_the_common_one_is_the_default(job):
    given = [step["with"] for step in job["steps"] if "with" in step]
    (versions,) = (options["python-version"].split() for options in given if "python-version" in options)

    assert {*versions} >= {*REQUIRED_PYTHONS}
    assert versions[-1] == COMMON_PYTHON


def test_the_workflow_installs_the_servers_that_the_crash_tests_start(job):
    (packages,) = (step["run"] for step in job["steps"] if "apt-get install" in step.get("run", ""))
    assert [name for name in OF_SERVERS if name not in packages] == []


def test_the_workflow_says_where_a_change_begins(job):
    assert BASE in job["steps"][-1]["env"]


def test_actions_are_pinned_by_a_commit_and_say_which_release_that_is():
    uses = re.findall(r"uses: (.+)", "".join(path.read_text(encoding="utf-8") for path in yaml_files()))

    assert uses
    assert [one for one in uses if not re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", one)] == []


@pytest.mark.parametrize("path", [*ROOT.glob(".github/ISSUE_TEMPLATE/[!c]*.yml")], ids=lambda path: path.name)
def test_each_question_of_a_form_has_a_label_and_an_id_of_its_own(path):
    form = yaml.safe_load(path.read_text(encoding="utf-8"))
    questions = [part for part in form["body"] if part["type"] != "markdown"]

    assert {"name", "description"} <= {*form}
    assert [part["id"] for part in questions if not part["attributes"].get("label")] == []
    assert len({part["id"] for part in questions}) == len(questions) > 0


# --- addresses --------------------------------------------------------------------------------------------------

# Hosts that a page or a comment sends its reader to. A new one is added by somebody who has looked whether it is there.
HOSTS = {
    "docs.celeryq.dev",
    "docs.locust.io",
    "keepachangelog.com",
    "pre-commit.com",
    "semver.org",
    "towncrier.readthedocs.io",
    "www.djangoproject.com",
}
# The address of this machine, and the name of a format, which nobody opens.
NO_LINKS = {"127.0.0.1", "localhost", "www.w3.org"}
READ = {".md", ".py", ".toml", ".yml", ".yaml", ".html", ".svg", ".css", ".js", ".txt"}


READ_FOLDERS = (".github", "benchmarks", "changes.d", "docs", "examples", "requirements", "src", "tools")


def texts():
    below = (path for folder in READ_FOLDERS for path in (ROOT / folder).rglob("*.*"))
    return [path for path in (*ROOT.glob("*.*"), *below) if path.suffix in READ]


def hosts(text):
    return {*re.findall(r"https?://(?:[^/@\s]*@)?([\w.-]+)", text)}


def test_no_file_sends_its_reader_to_a_host_that_is_not_there():
    found = {path.relative_to(ROOT).as_posix(): hosts(path.read_text(encoding="utf-8")) for path in texts()}
    assert {name: others for name, named in found.items() if (others := named - HOSTS - NO_LINKS)} == {}


def test_every_host_that_is_allowed_is_used():
    assert {host for path in texts() for host in hosts(path.read_text(encoding="utf-8"))} >= HOSTS


def test_the_package_names_no_address_of_the_project_while_it_has_none():
    assert "urls" not in PROJECT
