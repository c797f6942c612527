"""The shoppers of locust, who place the same orders in each variant, and take turns between the variants.

A turn lasts two seconds at most, so that what else the machine does hits all variants alike. The workers of the other
variants are stopped meanwhile (SIGSTOP). Locust reads this file and patches sockets for gevent, so nothing else imports
it. It prints the state of a variant after each of its turns, as a line of JSON.
"""

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from random import Random
from time import time
from typing import Any

import gevent
from locust import FastHttpUser, events, task

from benchmarks.load.variants import CUSTOMERS
from benchmarks.outbox import cpu

LONGEST = 2.0  # seconds of a turn
SOON = 0.01
CATALOGUE = Path(__file__).parents[2] / "examples" / "shop" / "store" / "catalogue.csv"
# A new database counts its products from 1.
PRODUCTS = range(1, len(CATALOGUE.read_text(encoding="utf-8").splitlines()))
NUMBERS = count(1)


@dataclass
class Shop:
    """The shop of a variant: where it is, its worker, and what was counted there."""

    key: str
    address: str
    server: int
    worker: int
    first: int = 0  # orders that were answered before the measurement
    seconds: float = 0.0  # of all its turns
    server_seconds: float = 0.0  # of a processor
    worker_seconds: float = 0.0


SHOPS = [Shop(**one) for one in json.loads(os.environ["HELIOGRAPH_LOAD_SHOPS"])]
SECONDS = float(os.environ["HELIOGRAPH_LOAD_SECONDS"])
PAUSE = float(os.environ["HELIOGRAPH_LOAD_PAUSE"])
open_shops: list[Shop] = []  # the one whose turn it is, or none
busy: set[int] = set()  # the shoppers whose orders are under way


def orders(number: int) -> Iterator[dict[str, Any]]:
    """Yield the orders of a shopper: one to four CDs each."""
    random = Random(number)
    while True:
        products = random.choices(PRODUCTS, k=random.randint(1, 4))
        yield {"customer": random.randint(1, CUSTOMERS), "products": products}


class Shopper(FastHttpUser):
    """A customer who places one order after the other."""

    def on_start(self) -> None:
        """Place a first order with each variant, which is not measured: the server connects to its database then."""
        self.number = next(NUMBERS)
        self.wanted = {shop.key: orders(self.number) for shop in SHOPS}
        for shop in SHOPS:
            self.place(shop, f"first order, {shop.key}")
            shop.first += 1

    @task
    def order(self) -> None:
        """Place an order with the variant whose turn it is, or wait for a turn."""
        if not open_shops:
            return gevent.sleep(SOON)
        busy.add(self.number)
        try:
            self.place(open_shops[0], open_shops[0].key)
        finally:
            busy.discard(self.number)
        return gevent.sleep(PAUSE)

    def place(self, shop: Shop, name: str) -> None:
        """Place an order."""
        wanted = next(self.wanted[shop.key])
        self.client.post(f"{shop.address}/checkout/", json=wanted, name=name)


def measure(environment: Any) -> None:
    """Give each variant its turns when all shoppers have placed their first orders, and end locust."""
    while any(shop.first < environment.parsed_options.num_users for shop in SHOPS):
        gevent.sleep(SOON)
    rounds = max(1, round(SECONDS / LONGEST))
    for shop in SHOPS * rounds:
        with taking_turn(shop):
            gevent.sleep(SECONDS / rounds)
        print(json.dumps(state(shop, environment.stats)), flush=True)
    environment.runner.quit()


@contextmanager
def taking_turn(shop: Shop) -> Iterator[None]:
    """Let the shoppers order from one variant, whose worker runs; the orders under way at the end are a part of it."""
    begun, server, worker = time(), cpu.of(shop.server), cpu.of(shop.worker)
    os.kill(shop.worker, signal.SIGCONT)
    open_shops.append(shop)
    try:
        yield
    finally:
        open_shops.clear()
        while busy:
            gevent.sleep(SOON)
        os.kill(shop.worker, signal.SIGSTOP)
        shop.seconds += time() - begun
        shop.server_seconds += cpu.of(shop.server) - server
        shop.worker_seconds += cpu.of(shop.worker) - worker


def state(shop: Shop, stats: Any) -> dict[str, Any]:
    """Return what was measured so far; times in milliseconds, as locust rounds them to two digits."""
    order, first = stats.get(shop.key, "POST"), stats.get(f"first order, {shop.key}", "POST")
    placed = order.num_requests - order.num_failures
    return {
        "key": shop.key,
        "seconds": shop.seconds,
        "answered": placed + first.num_requests - first.num_failures,
        "orders": placed,
        "failed": order.num_failures + first.num_failures,
        "rate": placed / shop.seconds,
        "p50": order.get_response_time_percentile(0.50),
        "p95": order.get_response_time_percentile(0.95),
        "server": shop.server_seconds * 1000 / max(placed, 1),
        "worker": shop.worker_seconds * 1000 / max(placed, 1),
    }


@events.init.add_listener
def begin(environment: Any, **kwargs: Any) -> None:
    """Stop the workers until it is their turn, and measure beside the shoppers."""
    for shop in SHOPS:
        os.kill(shop.worker, signal.SIGSTOP)
    gevent.spawn(measure, environment)
