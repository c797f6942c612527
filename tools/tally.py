"""How many tests passed and failed, over all parts of a long run."""

import json
import re
from dataclasses import asdict, dataclass

from tools.environments import BUILD

RECORD = BUILD / "tally.jsonl"
# What has pytest list its slowest tests, for `slowest()` to find in its output.
DURATIONS = ("--durations=10", "--durations-min=1")
NOTHING_SELECTED = 5  # pytest's code where options such as -k leave nothing of one part


@dataclass(frozen=True)
class Tally:
    """The result of one part."""

    part: str
    passed: int
    failed: int
    seconds: float
    # The seconds and the names of the slowest tests.
    slow: tuple[tuple[float, str], ...] = ()

    def __str__(self) -> str:
        return f"{self.part:<44} {self.passed:>6} passed, {self.failed} failed in {self.seconds:.0f} s"


def count(output: str, outcome: str) -> int:
    """The count of an outcome in pytest's closing line, which is the last line that has one."""
    closing = [line for line in output.splitlines() if re.search(r"\d+ (passed|failed|error)", line)][-1:]
    return sum(int(found) for line in closing for found in re.findall(rf"(\d+) {outcome}", line))


def of_pytest(part: str, output: str, seconds: float) -> Tally:
    """The tally of one run of pytest."""
    failed = count(output, "failed") + count(output, "error")
    return Tally(part, count(output, "passed"), failed, seconds, slowest(output))


def slowest(output: str) -> tuple[tuple[float, str], ...]:
    """The seconds and the names of the slowest tests, which pytest has listed."""
    listed = re.findall(r"^(\d+\.\d+)s (call|setup|teardown) +(\S.*)$", output, re.MULTILINE)
    return tuple((float(seconds), f"{name} ({phase})") for seconds, phase, name in listed)


def record(tally: Tally) -> None:
    """Keep a tally for the end of the run."""
    RECORD.parent.mkdir(exist_ok=True)
    with RECORD.open("a") as file:
        file.write(json.dumps(asdict(tally)) + "\n")


def recorded() -> list[Tally]:
    """The results that were kept since the run began."""
    lines = RECORD.read_text().splitlines() if RECORD.exists() else []
    return [Tally(**json.loads(line)) for line in lines]


def forget() -> None:
    """Begin a run, with nothing kept."""
    RECORD.unlink(missing_ok=True)
