"""The admin of deliveries: they can be looked at, redelivered and discarded, and not edited."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from datetime import datetime
from functools import cached_property
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.core.paginator import Paginator
from django.db import router
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html, format_html_join
from django.utils.text import Truncator

from heliograph.outbox.conf import all_settings
from heliograph.outbox.durable import registry
from heliograph.outbox.manage.admin_operations import Operating, may, with_breaks
from heliograph.outbox.manage.performing import STATES
from heliograph.outbox.manage.reporting import Report, report
from heliograph.outbox.models import Delivery, State, Verb
from heliograph.outbox.readable import facts_of, indented, local
from heliograph.outbox.states import InStates

# How many rows a list has at most. Nor are more counted: to count a million takes longer than anybody looks at them.
MOST = 10_000

# The large fields, which a list does not show.
_LARGE = ("payload", "context", "traceback", "history")


class CappedPaginator(Paginator):  # type: ignore[type-arg]  # it takes no arguments when it runs
    """Shows the first rows, and does not count further."""

    @cached_property
    def count(self) -> int:
        return min(self._found, MOST)

    @property
    def is_cut(self) -> bool:
        """Whether there are more."""
        return self._found > MOST

    @cached_property
    def _found(self) -> int:
        rows: Any = self.object_list
        found: int = rows.order_by()[: MOST + 1].count()
        return found


class DeliveryList(ChangeList):
    """A list that does not read the large fields."""

    def get_queryset(self, *args: Any, **options: Any) -> QuerySet[Delivery]:
        found: QuerySet[Delivery] = super().get_queryset(*args, **options)
        return found.defer(*_LARGE)


# --- filters ----------------------------------------------------------------------------------------------------


class StateFilter(admin.SimpleListFilter):
    """Deliveries in a state."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(state.value, str(state.label)) for state in State]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> QuerySet[Delivery] | None:
        state = self.value()
        return queryset.filter(InStates(state)) if state in State.values else None


class NameFilter(admin.SimpleListFilter, ABC):
    """Deliveries with a name in a column; the names come from what is connected and what is not finished."""

    title = parameter_name = ""

    @abstractmethod
    def names(self, request: HttpRequest) -> Iterable[str]:
        """Return the names to choose from."""

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        given = request.GET.get(self.parameter_name or "")
        return [(name, name) for name in sorted({*self.names(request), *([given] if given else [])})]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> QuerySet[Delivery] | None:
        name = self.value()
        if not name:
            return None
        is_possible = "\0" not in name  # which PostgreSQL refuses to look for
        return queryset.filter(**{str(self.parameter_name): name}) if is_possible else queryset.none()


class QueueFilter(NameFilter):
    """Deliveries of a queue."""

    title = parameter_name = "queue"

    def names(self, request: HttpRequest) -> Iterable[str]:
        connected = {durable.policy.queue for receivers in registry.known().values() for durable in receivers}
        return connected | {line.queue for line in _report(request).lines}


class ReceiverFilter(NameFilter):
    """Deliveries of a receiver."""

    title = parameter_name = "receiver"

    def names(self, request: HttpRequest) -> Iterable[str]:
        return {*registry.known(), *(line.receiver for line in _report(request).lines)}


class BackendFilter(NameFilter):
    """Deliveries of a backend."""

    title = parameter_name = "backend"

    def names(self, request: HttpRequest) -> Iterable[str]:
        return all_settings()


def _report(request: Any) -> Report:
    """Return how deliveries are doing, which is asked once for a page."""
    if not hasattr(request, "_heliograph_report"):
        request._heliograph_report = report(router.db_for_read(Delivery))
    found: Report = request._heliograph_report
    return found


# --- times ------------------------------------------------------------------------------------------------------


def _shown_time(name: str) -> Callable[[Delivery], str]:
    """Return a column of the admin with a time of each delivery to the second, since attempts may be close together."""

    def shown(delivery: Delivery) -> str:
        at = getattr(delivery, name)
        return _exactly(at) if at else "-"

    shown.__name__ = name  # the admin finds the help text by this name
    return admin.display(description=name.replace("_", " "))(shown)


def _exactly(at: datetime) -> str:
    """Return a time in the current time zone, to the second."""
    shown = local(at).isoformat(" ", "seconds")[:19]
    return format_html('<time class="delivery-time" datetime="{}">{}</time>', at.isoformat(), shown)


_WHEN = ("created_at", "due_at", "claimed_at", "worker", "leased_until", "finished_at")
_TIMES: dict[str, Any] = {name: _shown_time(name) for name in _WHEN if name != "worker"}


# --- deliveries -------------------------------------------------------------------------------------------------


@admin.register(Delivery)
class DeliveryAdmin(Operating):
    """A list of deliveries, and a page for each with what was sent and how its attempts ended."""

    list_display = (
        "id",
        "state_and_attempts",
        "receiver_in_queue",
        "short_error",
        _TIMES["created_at"],
    )
    list_filter = (StateFilter, QueueFilter, ReceiverFilter, BackendFilter)
    search_fields = ("id__exact", "receiver", "sender", "key", "error")
    search_help_text = "A number, or a part of the receiver, sender, key or error."
    ordering = ("-id",)  # not by a column without an index, which may have millions of values
    sortable_by = ()
    list_per_page = 50
    paginator = CappedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    actions = ("redeliver", "discard")
    fieldsets = (
        (None, {"fields": ("colored_state", "receiver", "signal", "sender", "key", "queue", "backend")}),
        ("What became of it", {"fields": ("error_text", "attempts", "failed_attempts", "readable_traceback")}),
        ("What was sent", {"fields": ("readable_payload", "readable_context")}),
        ("When", {"fields": [_TIMES.get(name, name) for name in _WHEN]}),
    )
    readonly_fields = (
        *("colored_state", "readable_payload", "readable_context"),
        *("error_text", "failed_attempts", "readable_traceback"),
        *_TIMES.values(),
    )

    class Media:
        css = {"all": ["heliograph_outbox/admin.css"]}  # noqa: RUF012 - as Django declares it

    def get_changelist(self, request: HttpRequest, **options: Any) -> type[ChangeList]:
        return DeliveryList

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        found = self.get_object(request, object_id)
        context = {**(extra_context or {}), "possible_actions": self._possible_actions(request, found)}
        return super().change_view(request, object_id, form_url, context)

    def _possible_actions(self, request: HttpRequest, delivery: Delivery | None) -> list[str]:
        """Return the names of the actions that can be taken for one delivery, by this user."""
        allowed = self.get_actions(request)
        return [name for name, states in STATES.items() if name in allowed and delivery and delivery.state in states]

    # --- what may be done -------------------------------------------------------------------------------------

    def has_redeliver_permission(self, request: HttpRequest) -> bool:
        """Return whether the user may let deliveries be made again."""
        return may(request, Verb.REDELIVER)

    def has_discard_permission(self, request: HttpRequest) -> bool:
        """Return whether the user may let deliveries not be made."""
        return may(request, Verb.DISCARD)

    @admin.action(permissions=["redeliver"], description="Redeliver selected deliveries")
    def redeliver(self, request: HttpRequest, chosen: QuerySet[Delivery]) -> HttpResponse | None:
        """Ask which deliveries that have finished are to be made again."""
        return self.ask(request, chosen, Verb.REDELIVER)

    @admin.action(permissions=["discard"], description="Discard selected deliveries")
    def discard(self, request: HttpRequest, chosen: QuerySet[Delivery]) -> HttpResponse | None:
        """Ask which deliveries that wait or are dead are not to be made."""
        return self.ask(request, chosen, Verb.DISCARD)

    # --- what is shown ----------------------------------------------------------------------------------------

    @admin.display(description="state")
    def colored_state(self, delivery: Delivery) -> str:
        """Return the state, in its color."""
        return format_html(
            '<span class="delivery-state {}">{}</span>', delivery.state.lower(), delivery.get_state_display()
        )

    @admin.display(description="state")
    def state_and_attempts(self, delivery: Delivery) -> str:
        """Return the state, with the number of attempts below."""
        count = delivery.attempts
        attempts = f"{count:,} attempt{'' if count == 1 else 's'}"
        return format_html('{}<div class="delivery-note">{}</div>', self.colored_state(delivery), attempts)

    @admin.display(description="receiver")
    def receiver_in_queue(self, delivery: Delivery) -> str:
        """Return the name of the receiver, with line breaks allowed at its dots, and sender, queue and key below."""
        name = with_breaks(delivery.receiver)
        key = format_html(", key <span>{}</span>", delivery.key) if delivery.key else ""
        return format_html(_RECEIVER, name, delivery.sender, delivery.queue, key)

    @admin.display(description="error", empty_value="")
    def short_error(self, delivery: Delivery) -> str:
        """Return as much of the error as has room in a list."""
        return Truncator(delivery.error).chars(100)

    @admin.display(description="error, or why it was discarded")
    def error_text(self, delivery: Delivery) -> str:
        """Return the error."""
        return delivery.error or "-"

    @admin.display(description="payload")
    def readable_payload(self, delivery: Delivery) -> str:
        """Return what was sent, as JSON over several lines."""
        return _code(indented(delivery.payload))

    @admin.display(description="context")
    def readable_context(self, delivery: Delivery) -> str:
        """Return who has caused the delivery, and why, as JSON over several lines."""
        return _code(indented(delivery.context)) if delivery.context else "-"

    @admin.display(description="traceback")
    def readable_traceback(self, delivery: Delivery) -> str:
        """Return the last traceback."""
        return _code(delivery.traceback)

    @admin.display(description="failures and operations")
    def failed_attempts(self, delivery: Delivery) -> str:
        """Return a table of the attempts that failed, and of what people did about them."""
        rows = [_cells(event) for event in delivery.events]
        return format_html(_TABLE, format_html_join("", _ROW, rows)) if rows else "-"


_TABLE = (
    '<table class="delivery-attempts"><thead><tr><th scope="col">Attempt</th><th scope="col">At</th>'
    '<th scope="col">Worker or user</th><th scope="col">Error or reason</th></tr></thead><tbody>{}</tbody></table>'
)
_RECEIVER = '{}<div class="delivery-note">{}</div><div class="delivery-note">queue <span>{}</span>{}</div>'
_ROW = "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>"


def _cells(event: dict[str, Any]) -> tuple[Any, ...]:
    what, at, who, why = facts_of(event)
    return what, at if isinstance(at, str) else _exactly(at), who, why


def _code(text: str) -> str:
    return format_html('<pre class="delivery-code" tabindex="0">{}</pre>', text) if text else "-"
