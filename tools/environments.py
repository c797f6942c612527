"""Environments of their own for each pair of Python and Django, made by uv."""

import hashlib
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MATRIX = ROOT / ".matrix"
BUILD = ROOT / ".build"
PINS = ROOT / "requirements" / "dev.txt"


def uv(*arguments: str | Path) -> None:
    """Run the uv that `make` put beside this interpreter."""
    subprocess.run([Path(sys.executable).with_name("uv"), "--quiet", *arguments], cwd=ROOT, check=True)


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
        """Make it, unless it stands already as it is wanted now."""
        stamp = self.folder / "ready"
        if not stamp.exists() or stamp.read_text() != self.recipe():
            self.make()
            stamp.write_text(self.recipe())
        return self

    def recipe(self) -> str:
        """A digest of everything that the environment is made from."""
        parts = [str(self).encode(), PINS.read_bytes(), (ROOT / "pyproject.toml").read_bytes()]
        return hashlib.sha256(b"\0".join(parts)).hexdigest()

    def make(self) -> None:
        """Make it from nothing, with Heliograph editable in it."""
        uv("venv", "--clear", "--python", self.base, self.folder)
        groups = [argument for group in self.groups for argument in ("--group", group)]
        self.install(*groups, "--constraint", PINS, "--editable", ".", f"django~={self.django}.0")

    def install(self, *arguments: str | Path) -> None:
        """Install into it, compiled at once because many processes start from it."""
        uv("pip", "install", "--compile-bytecode", "--python", self.python, *arguments)

    def django_version(self) -> str:
        """The version of Django in it, to the patch."""
        command = [self.python, "-c", "import django; print(django.__version__)"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
