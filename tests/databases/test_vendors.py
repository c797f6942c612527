"""Where a vendor may be named: in the descriptions of databases, and nowhere else."""

from pathlib import Path

import heliograph

SOURCE = Path(heliograph.__file__).parent


def test_no_module_beside_the_descriptions_of_databases_asks_for_the_vendor():
    modules = [path for path in SOURCE.rglob("*.py") if SOURCE / "databases" not in path.parents]

    assert len(modules) > 100
    assert [str(path.relative_to(SOURCE)) for path in modules if "vendor" in path.read_text(encoding="utf-8")] == []
