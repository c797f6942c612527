"""How many tests passed and failed, over all parts of a long run."""

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from tools.environments import BUILD

RECORD = BUILD / "tally.jsonl"


@dataclass(frozen=True)
class Tally:
    """What one part came to."""

    part: str
    passed: int
    failed: int
    seconds: float

    def __str__(self) -> str:
        return f"{self.part:<44} {self.passed:>6} passed, {self.failed} failed in {self.seconds:.0f} s"


def count(output: str, outcome: str) -> int:
    """The count of an outcome in pytest's closing line, which is the last line that has one."""
    closing = [line for line in output.splitlines() if re.search(r"\d+ (passed|failed|error)", line)][-1:]
    return sum(int(found) for line in closing for found in re.findall(rf"(\d+) {outcome}", line))


def of_pytest(part: str, output: str, seconds: float) -> Tally:
    """The tally of one run of pytest."""
    return Tally(part, count(output, "passed"), count(output, "failed") + count(output, "error"), seconds)


def total(part: str, tallies: Iterable[Tally], seconds: float) -> Tally:
    """Several tallies as one."""
    tallies = list(tallies)
    return Tally(part, sum(tally.passed for tally in tallies), sum(tally.failed for tally in tallies), seconds)


def record(tally: Tally) -> None:
    """Keep a tally for the end of the run."""
    RECORD.parent.mkdir(exist_ok=True)
    with RECORD.open("a") as file:
        file.write(json.dumps(asdict(tally)) + "\n")


def main() -> None:
    """Print what was recorded, and the sum as the last line."""
    tallies = [Tally(**json.loads(line)) for line in RECORD.read_text().splitlines()]
    print("\n".join(["", *map(str, tallies)]))
    whole = total("all", tallies, sum(tally.seconds for tally in tallies))
    print(f"{whole.passed} passed, {whole.failed} failed in {whole.seconds / 60:.1f} min")


if __name__ == "__main__":
    main()
