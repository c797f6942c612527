"""Days of a site's time zone, also where a database has no tables of time zones, as MariaDB after it was installed."""

from __future__ import annotations

from bisect import bisect_right
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cache
from typing import Any

from django.db import NotSupportedError
from django.db.models.functions import TruncDate

_FIRST, _LAST = datetime(1900, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class SiteDate(TruncDate):
    """The date of a time in a zone; MariaDB and MySQL compute it by the zone's offsets, if they have no time zones.

    Without their tables `CONVERT_TZ()` is NULL, and so would be each day.
    """

    def as_mysql(self, compiler: Any, connection: Any) -> Any:
        """Return `DATE(paid_at + INTERVAL <the offset at that time> SECOND)`, or Django's own SQL.

        `INTERVAL(seconds, change, ...)` is the number of changes until then, and `ELT()` the offset with a number.
        """
        stored_in, zone = connection.timezone_name, self.get_tzname()
        if zone in (None, stored_in) or connection.features.has_zoneinfo_database:
            return super().as_sql(compiler, connection)
        if stored_in != "UTC":
            raise NotSupportedError(
                f"Times of {connection.alias!r} are stored in {stored_in}, and it has no time zones to compute days of"
                f" {zone} from them. Load its tables of time zones, by mysql_tzinfo_to_sql."
            )
        sql, params = compiler.compile(self.lhs)
        changes, offsets = changes_of(self.tzinfo)
        seconds = f"TIMESTAMPDIFF(SECOND, '{_EPOCH:%Y-%m-%d}', {sql})"
        number = f"INTERVAL({', '.join(map(str, (seconds, *changes)))}) + 1"
        offset = f"ELT({number}, {', '.join(map(str, offsets))})"
        return f"DATE({sql} + INTERVAL {offset} SECOND)", (*params, *params)


@cache
def changes_of(zone: tzinfo) -> tuple[list[int], list[int]]:
    """Return the times of 1900 to 2100 at which the offset of a zone changes, in seconds, and the offsets.

    There is one offset more: the first one is that of times before.
    """
    days = [_FIRST + timedelta(days=number) for number in range((_LAST - _FIRST).days + 1)]
    offsets = [_offset(zone, day) for day in days]
    changed = [at for at in range(1, len(days)) if offsets[at] != offsets[at - 1]]
    changes = [_first_with(zone, offsets[at], days[at - 1]) for at in changed]
    return [_seconds(_FIRST), *changes], [offsets[0], offsets[0], *(offsets[at] for at in changed)]


def _seconds(time: datetime) -> int:
    return round((time - _EPOCH).total_seconds())


def _time(seconds: int) -> datetime:
    return _EPOCH + timedelta(seconds=seconds)


def _offset(zone: tzinfo, time: datetime) -> int:
    offset = time.astimezone(zone).utcoffset() or timedelta()
    return round(offset.total_seconds())


def _first_with(zone: tzinfo, offset: int, day: datetime) -> int:
    """Return the second of a day at which an offset begins."""
    start = _seconds(day)
    seconds = range(start, start + 24 * 60 * 60)
    return start + bisect_right(seconds, False, key=lambda one: _offset(zone, _time(one)) == offset)
