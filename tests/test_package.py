"""What is installed has every file of the checkout: CI installs the wheel, and so tests what users get."""

from hashlib import sha256
from pathlib import Path

import _heliograph_pytest
import heliograph

CHECKOUT = Path(__file__).parents[1] / "src" / "heliograph"


def digests(folder):
    files = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc")
    return {path.relative_to(folder).as_posix(): sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_installed_package_has_the_files_of_the_checkout():
    assert digests(Path(heliograph.__file__).parent) == digests(CHECKOUT)


def test_the_installed_plugin_of_pytest_is_that_of_the_checkout():
    installed = Path(_heliograph_pytest.__file__)
    assert installed.read_bytes() == (CHECKOUT.parent / installed.name).read_bytes()
