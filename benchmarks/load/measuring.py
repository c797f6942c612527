"""The processes of a run: databases, a server and a worker, locust in front of them, and the check behind them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from time import sleep
from typing import Any

from benchmarks.load.variants import HEADER, MAIL_SECONDS, VARIANTS, Checked, Requests, Result, Variant
from tests.helpers.smtp import Mails, mail_server
from tools.environments import ROOT

SHOP = ROOT / "examples" / "shop"
CONCURRENCY = 4  # of the worker
GRACE = 30  # seconds that a process has to end

Show = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True)
class Load:
    """The shoppers, who pause after an order, the seconds of each variant, the database, and the folder of files."""

    users: int
    pause: float
    seconds: float
    database: str
    folder: Path

    def variables(self, key: str, mails: int = 0) -> dict[str, str]:
        """Return the environment of a process of a variant, whose mail server has this port."""
        path = [str(SHOP), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith("SHOP_")},
            "DJANGO_SETTINGS_MODULE": "benchmarks.load.settings",
            "HELIOGRAPH_LOAD_VARIANT": key,
            "HELIOGRAPH_LOAD_DATABASE": self.database,
            "HELIOGRAPH_LOAD_MAILS": str(mails),
            "HELIOGRAPH_LOAD_SECONDS": str(self.seconds),
            "HELIOGRAPH_LOAD_PAUSE": str(self.pause),
            "SHOP_DATA_DIR": str(self.folder),
            "PYTHONPATH": os.pathsep.join(path),
        }


@contextmanager
def databases(load: Load, *, keep: bool) -> Iterator[None]:
    """Make the databases of all variants, and remove them in the end unless they are to be kept."""
    begin = [sys.executable, "-m", "benchmarks.load.beginning"]
    subprocess.run(begin, cwd=ROOT, env=load.variables("template"), check=True)
    try:
        yield
    finally:
        if not keep:
            subprocess.run([*begin, "remove"], cwd=ROOT, env=load.variables("template"), check=True)


def measure(load: Load, show: Show) -> list[Result]:
    """Measure the variants, and check what each has left when its server and its worker have ended."""
    with ExitStack() as mail_servers:
        every = [mail_servers.enter_context(mail_server()) for _ in VARIANTS]
        for mails, _ in every:
            mails.on_mail = partial(sleep, MAIL_SECONDS)
        variables = {one.key: load.variables(one.key, port) for one, (_, port) in zip(VARIANTS, every, strict=True)}
        with ExitStack() as shops:
            started = [shops.enter_context(_shop(one)) for one in variables.values()]
            addresses = [_address(shop) for shop in started]
            states = _follow(load, addresses, show)
        mailed = {one.key: sorted(_orders(mails)) for one, (mails, _) in zip(VARIANTS, every, strict=True)}
    return [_result(one, states[one.key], mailed[one.key], variables[one.key]) for one in VARIANTS]


def _result(variant: Variant, state: Mapping[str, Any], mailed: list[int], variables: Mapping[str, str]) -> Result:
    checked, waiting = check(variables, mailed, state["answered"])
    figures = {one.name: state[one.name] for one in fields(Requests)}
    return Result(variant, Requests(**figures), len(mailed), waiting, checked)


def check(variables: Mapping[str, str], mailed: list[int], answered: int) -> tuple[list[Checked], int]:
    """Return what holds of a database, and how many mails are in its outbox."""
    given = json.dumps({"mailed": mailed, "answered": answered})
    command = [sys.executable, "-m", "benchmarks.load.checks"]
    run = subprocess.run(command, cwd=ROOT, env=variables, input=given, stdout=subprocess.PIPE, text=True, check=True)
    found = json.loads(run.stdout)
    return [Checked(**one) for one in found["checked"]], found["waiting"]


_WORKER = [sys.executable, "-m", "django", "outbox", "run", "--concurrency", str(CONCURRENCY), "--grace", "10"]


def _orders(mails: Mails) -> set[int]:
    """Return the keys of the orders that the mails are about."""
    return {int(mail[HEADER]) for mail in mails}


@dataclass(frozen=True)
class _Shop:
    """The processes of a variant."""

    key: str
    server: subprocess.Popen[str]
    worker: subprocess.Popen[str]
    log: Path


@contextmanager
def _shop(variables: Mapping[str, str]) -> Iterator[_Shop]:
    """Run the server and the worker of a variant."""
    command = [sys.executable, "-m", "benchmarks.load.server"]
    with _process(_WORKER, variables) as worker, _process(command, variables, stdout=subprocess.PIPE) as server:
        yield _Shop(variables["HELIOGRAPH_LOAD_VARIANT"], server, worker, _log(variables))


def _address(shop: _Shop) -> dict[str, Any]:
    """Return where the shop is, when its server listens."""
    assert shop.server.stdout
    port = shop.server.stdout.readline().strip()
    if not port:
        raise SystemExit(f"A server does not start: {shop.log} says why.")
    return {
        "key": shop.key,
        "address": f"http://127.0.0.1:{port}",
        "server": shop.server.pid,
        "worker": shop.worker.pid,
    }


def _follow(load: Load, shops: list[dict[str, Any]], show: Show) -> dict[str, dict[str, Any]]:
    """Let shoppers place orders, and return the last state of each variant that locust prints."""
    variables = load.variables("locust") | {"HELIOGRAPH_LOAD_SHOPS": json.dumps(shops)}
    states: dict[str, dict[str, Any]] = {}
    with _process(_locust(load), variables, stdout=subprocess.PIPE) as locust:
        for line in locust.stdout:
            state = json.loads(line)
            states[state["key"]] = state
            show(state)
    if len(states) < len(shops):
        raise SystemExit(f"The shoppers have not come to an end: {_log(variables)} may say why.")
    return states


def _locust(load: Load) -> list[str]:
    """Return the command of locust, which ends itself; its time is a limit for orders that are not answered."""
    limit = len(VARIANTS) * load.seconds + 2 * GRACE
    return [
        *(sys.executable, "-m", "locust", "--locustfile", "benchmarks/load/shoppers.py", "--headless"),
        *("--skip-log-setup", "--exit-code-on-error", "0", "--host", "http://127.0.0.1"),
        *("--users", str(load.users), "--spawn-rate", str(load.users), "--run-time", f"{limit:.0f}s"),
    ]


def _log(variables: Mapping[str, str]) -> Path:
    """Return the file that has what the processes of a variant log."""
    return Path(variables["SHOP_DATA_DIR"], f"{variables['HELIOGRAPH_LOAD_VARIANT']}.log")


@contextmanager
def _process(command: list[str], variables: Mapping[str, str], stdout: int | None = None) -> Iterator[Any]:
    """Run a process of this checkout until the block ends; it may finish what it does."""
    log = _log(variables)
    with (
        log.open("a", encoding="utf-8") as errors,
        subprocess.Popen(command, cwd=ROOT, env=variables, stdout=stdout, stderr=errors, text=True) as process,
    ):
        try:
            yield process
        finally:
            process.send_signal(signal.SIGCONT)  # for a worker whose turn is over
            process.terminate()
            try:
                process.wait(GRACE)
            except subprocess.TimeoutExpired:
                process.kill()
