"""Environments of their own for each pair of Python and Django, made by uv."""

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MATRIX = ROOT / ".matrix"
BUILD = ROOT / ".build"
PINS = ROOT / "requirements" / "dev.txt"


def uv(*arguments: str | Path) -> None:
    """Run the uv that `make` put beside this interpreter."""
    subprocess.run([Path(sys.executable).with_name("uv"), "--quiet", *arguments], cwd=ROOT, check=True)


@cache
def wheel() -> Path:
    """The wheel of this checkout, built once a run: it is what users install, so it is what the environments have."""
    folder = BUILD / "wheel"
    shutil.rmtree(folder, ignore_errors=True)
    uv("build", "--wheel", "--python", sys.executable, "--out-dir", folder)
    return next(folder.glob("*.whl"))


@dataclass(frozen=True)
class Environment:
    """One environment: an interpreter, a Django and groups of pyproject.toml."""

    name: str
    base: Path
    django: str
    groups: tuple[str, ...]

    @property
    def folder(self) -> Path:
        """Where it lives."""
        return MATRIX / self.name

    @property
    def python(self) -> str:
        """Its own interpreter."""
        return str(self.folder / "bin" / "python")

    def prepare(self) -> "Environment":
        """Make it, unless it stands already as it is wanted now, with the wheel of the checkout in it."""
        self.unless_stamped("ready", self.recipe(), self.make)
        self.unless_stamped("wheel", hashlib.sha256(wheel().read_bytes()).hexdigest(), self.install_wheel)
        return self

    def unless_stamped(self, name: str, digest: str, make: Callable[[], None]) -> None:
        """Do a step whose digest is not the one in its stamp, the file that the step leaves."""
        stamp = self.folder / name
        if not stamp.exists() or stamp.read_text() != digest:
            make()
            stamp.write_text(digest)

    def recipe(self) -> str:
        """A digest of everything that the environment is made from."""
        parts = [str(self).encode(), PINS.read_bytes(), (ROOT / "pyproject.toml").read_bytes()]
        return hashlib.sha256(b"\0".join(parts)).hexdigest()

    def make(self) -> None:
        """Make it from nothing."""
        uv("venv", "--clear", "--python", self.base, self.folder)
        groups = [argument for group in self.groups for argument in ("--group", group)]
        self.install(*groups, "--constraint", PINS, wheel(), f"django~={self.django}.0")

    def install_wheel(self) -> None:
        """Put the wheel in the place of an older one."""
        self.install("--no-deps", "--reinstall-package", "heliograph", wheel())

    def install(self, *arguments: str | Path) -> None:
        """Install into it; Python compiles a module when the first process imports it."""
        uv("pip", "install", "--python", self.python, *arguments)

    def django_version(self) -> str:
        """The version of Django in it, to the patch."""
        command = [self.python, "-c", "import django; print(django.__version__)"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
