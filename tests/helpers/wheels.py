"""A wheel of the package as it is here, made without a build tool and without a network."""

import base64
from hashlib import sha256
from importlib.metadata import distribution
from pathlib import Path
from zipfile import ZipFile

import _heliograph_pytest
import heliograph

WHEEL = "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
METADATA = ("METADATA", "entry_points.txt")


def pack(folder):
    """Write a wheel of the imported `heliograph` into a folder, and return its path."""
    installed = distribution("heliograph")
    stem = f"heliograph-{installed.version}"
    files = {**_modules(), f"{stem}.dist-info/WHEEL": WHEEL.encode()}
    files |= {f"{stem}.dist-info/{name}": installed.read_text(name).encode() for name in METADATA}
    files[f"{stem}.dist-info/RECORD"] = _record(files, f"{stem}.dist-info/RECORD")
    path = folder / f"{stem}-py3-none-any.whl"
    with ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def _modules():
    package = Path(heliograph.__file__).parent
    files = [path for path in package.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    modules = {path.relative_to(package.parent).as_posix(): path.read_bytes() for path in files}
    return {**modules, "_heliograph_pytest.py": Path(_heliograph_pytest.__file__).read_bytes()}


def _record(files, own):
    lines = [f"{name},sha256={_digest(content)},{len(content)}" for name, content in files.items()]
    return "\n".join([*lines, f"{own},,", ""]).encode()


def _digest(content):
    return base64.urlsafe_b64encode(sha256(content).digest()).rstrip(b"=").decode()
