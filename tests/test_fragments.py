"""A change of the package is described in changes.d, or says that no user sees it."""

import subprocess

import pytest

from tools.fragments import complaint, complaint_of

MODULE = "src/heliograph/conf.py"


def git(folder, *arguments):
    identity = ("-c", "user.name=Ada", "-c", "user.email=ada@localhost", "-c", "commit.gpgsign=false")
    subprocess.run(["git", "-C", folder, *identity, *arguments], check=True, capture_output=True)


def commit(folder, message, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(message)
    git(folder, "add", ".")
    git(folder, "commit", "--message", message)


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A repository with one commit on main and a branch that begins there."""
    monkeypatch.delenv("HELIOGRAPH_BASE", raising=False)
    git(tmp_path, "init", "--initial-branch", "main")
    commit(tmp_path, "Begin", MODULE)
    git(tmp_path, "switch", "--create", "change")
    return tmp_path


def test_a_change_of_the_package_without_a_fragment_is_refused_with_what_to_do():
    assert complaint([MODULE, "tests/test_conf.py"], "A setting goes") == (
        "This change touches src/heliograph/conf.py, and has no fragment of the changelog.\n"
        "If a user sees it, describe it in a file such as changes.d/+what-is-new.added.md: CONTRIBUTING.md says how.\n"
        'If no user sees it, write the line "Changelog: none" at the end of a commit message.'
    )


def test_a_change_of_several_files_names_the_first():
    files = [MODULE, "src/heliograph/apps.py", "src/heliograph/checks.py"]
    assert "touches src/heliograph/conf.py and 2 more files, and" in complaint(files, "")


@pytest.mark.parametrize("described", ["changes.d/+a.fixed.md", "CHANGELOG.md"])
def test_a_change_that_is_described_is_accepted(described):
    assert complaint([MODULE, described], "A setting goes") == ""


def test_a_change_that_no_user_sees_says_so_in_a_commit_message():
    assert complaint([MODULE], "One name fewer\n\nChangelog: none\n") == ""


def test_a_change_outside_of_the_package_needs_no_fragment():
    assert complaint(["tests/test_conf.py", "docs/start.md"], "") == ""


def test_all_commits_of_a_branch_count(checkout):
    commit(checkout, "Change it", MODULE)
    assert "touches src/heliograph/conf.py, and" in complaint_of(checkout)

    commit(checkout, "Describe it", "changes.d/+it.changed.md")
    assert complaint_of(checkout) == ""


def test_commits_that_main_has_got_meanwhile_do_not_count(checkout):
    commit(checkout, "Test it", "tests/test_conf.py")
    git(checkout, "switch", "main")
    commit(checkout, "Change it", "src/heliograph/apps.py")
    git(checkout, "switch", "change")

    assert complaint_of(checkout) == ""


def test_the_base_that_ci_names_is_the_base(checkout, monkeypatch):
    commit(checkout, "Change it", MODULE)
    monkeypatch.setenv("HELIOGRAPH_BASE", "change")
    assert complaint_of(checkout) == ""


def test_a_folder_that_is_no_repository_has_no_changes(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert complaint_of(tmp_path) == ""
