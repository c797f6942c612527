"""Functions that run in threads of their own, with connections of their own."""

import threading
from concurrent.futures import ThreadPoolExecutor

from django.db import connections

LONG = 60  # seconds, on a machine that does much else


def in_thread(function, *arguments):
    """Call a function in another thread, and return what it returns or raise what it raises."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(_call, function, *arguments).result()


def at_once(*functions):
    """Call functions at the same time, each in its own thread; return what they return, or raise what one raises."""
    start = threading.Barrier(len(functions), timeout=LONG)

    def call(function):
        start.wait()
        return _call(function)

    with ThreadPoolExecutor(len(functions)) as pool:
        return list(pool.map(call, functions))


def _call(function, *arguments):
    try:
        return function(*arguments)
    finally:
        connections.close_all()
