"""A clock that is wrong, for the process that is started with one."""

import datetime
import os
import time

from django.utils import timezone

OFF_BY = "HELIOGRAPH_CRASH_CLOCK"
IS_WRONG = "This clock is wrong."  # what a process says that has one


def set_wrong():
    """Have this process believe that it is so many seconds later, or earlier, than it is."""
    seconds = float(os.environ.get(OFF_BY, "0"))
    if not seconds:
        return
    right_time, right_ns = time.time, time.time_ns
    time.time = lambda: right_time() + seconds
    time.time_ns = lambda: right_ns() + int(seconds * 1e9)
    right_now = timezone.now
    timezone.now = lambda: right_now() + datetime.timedelta(seconds=seconds)
    print(IS_WRONG, flush=True)
