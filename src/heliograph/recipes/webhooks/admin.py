"""The admin of webhooks: endpoints with their state, what was sent to them, and what operators do about it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.widgets import AdminSplitDateTime
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_variables

from heliograph.read_only_admin import ReadOnlyAdmin
from heliograph.recipes.webhooks import endpoints
from heliograph.recipes.webhooks.declared_events import known_events
from heliograph.recipes.webhooks.models import Attempt, Endpoint

# --- endpoints ----------------------------------------------------------------------------------------------------


class EndpointForm(forms.ModelForm):  # type: ignore[type-arg]  # it takes no arguments when it runs
    """An endpoint, whose events are chosen from those that declarations name."""

    events = forms.MultipleChoiceField(
        required=False, widget=forms.CheckboxSelectMultiple, help_text="None chosen: all of them."
    )

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        field: Any = self.fields.get("events")
        if field is not None:  # who may only look has none
            chosen = self.instance.events or []
            field.choices = [(name, name) for name in sorted({*known_events(), *chosen})]


class StateFilter(admin.SimpleListFilter):
    """Endpoints in a state."""

    title = parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, name) for name in _STATES]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Endpoint]) -> QuerySet[Endpoint] | None:
        found = _STATES.get(self.value() or "")
        return None if found is None else queryset.filter(**found)


_STATES: dict[str, dict[str, Any]] = {
    "active": {"is_active": True, "first_failure_at": None},
    "failing": {"is_active": True, "first_failure_at__isnull": False},
    "disabled": {"is_active": False},
}


class Since(forms.Form):
    """Since when messages are sent again."""

    since = forms.SplitDateTimeField(widget=AdminSplitDateTime)


@admin.register(Endpoint)
class EndpointAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # it takes no arguments when it runs
    """A list of endpoints, and a page for each. A secret is on a page of its own, and nowhere else."""

    form = EndpointForm
    list_display = ("__str__", "owner", "state_in_words", "chosen_events", "description")
    list_filter = (StateFilter,)
    search_fields = ("url", "owner", "description")
    actions = ("send_test", "send_again", "enable", "disable", "rotate_secret")
    fields = ("url", "description", "owner", "events", "state_in_words", "signing", "recent_attempts")
    readonly_fields = ("state_in_words", "signing", "recent_attempts")

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(never_cache(self.secret_view))
        return [path("<int:number>/secret/", view, name="heliograph_webhooks_endpoint_secret"), *super().get_urls()]

    def save_model(self, request: HttpRequest, obj: Endpoint, form: Any, change: bool) -> None:
        """Save what was changed, and not the state, which a worker may have changed meanwhile."""
        obj.save(update_fields=form.changed_data if change else None)

    # --- what is shown ----------------------------------------------------------------------------------------

    @admin.display(description="state")
    def state_in_words(self, endpoint: Endpoint) -> str:
        """Return the state, since when, and why."""
        if endpoint.state == "disabled":
            return f"disabled since {_minute(endpoint.disabled_at)}: {endpoint.disabled_reason}"
        return endpoint.state if endpoint.state == "active" else f"failing since {_minute(endpoint.first_failure_at)}"

    @admin.display(description="events")
    def chosen_events(self, endpoint: Endpoint) -> str:
        """Return the events that the endpoint gets."""
        return ", ".join(endpoint.events) or "all"

    @admin.display(description="secret")
    def signing(self, endpoint: Endpoint) -> str:
        """Return a link to the page that shows the secret, and until when the previous one signs too."""
        if endpoint._state.adding:
            return "Made when the endpoint is saved."
        url = reverse(f"{self.admin_site.name}:heliograph_webhooks_endpoint_secret", args=[endpoint.pk])
        text = f"; the previous one signs until {_minute(endpoint.previous_until)}"
        return format_html('<a href="{}">Show</a>{}', url, text if len(endpoint.signing_secrets) > 1 else "")

    @admin.display(description="attempts")
    def recent_attempts(self, endpoint: Endpoint) -> str:
        """Return a link to the attempts."""
        url = reverse(f"{self.admin_site.name}:heliograph_webhooks_attempt_changelist")
        link = format_html('<a href="{}?endpoint__id__exact={}">Show</a>', url, endpoint.pk)
        return "-" if endpoint._state.adding else link

    # --- the secret -------------------------------------------------------------------------------------------

    @sensitive_variables("context")
    def secret_view(self, request: HttpRequest, number: int) -> HttpResponse:
        """Show the secret to somebody who may see it and asks for it; that he has is in the history."""
        endpoint = self.get_object(request, str(number))
        if endpoint is None:
            raise Http404(f"There is no endpoint {number}.")
        if not request.user.has_perm("heliograph_webhooks.reveal_secret"):
            raise PermissionDenied
        context = {**self._context(request, "Secret"), "original": endpoint}
        if request.method == "POST":
            self.log_change(request, endpoint, "Has seen the secret.")
            context["secret"] = endpoint.secret
        return TemplateResponse(request, "admin/heliograph_webhooks/secret.html", context)

    def _context(self, request: HttpRequest, title: str) -> dict[str, Any]:
        each = self.admin_site.each_context(request)
        return {**each, "title": title, "opts": self.opts, "has_view_permission": True, "media": self.media}

    # --- actions ----------------------------------------------------------------------------------------------

    @admin.action(permissions=["change"], description="Send a test event")
    def send_test(self, request: HttpRequest, chosen: QuerySet[Endpoint]) -> None:
        """Send the event "webhook.test" to the endpoints that are active."""
        active = [one for one in chosen if one.is_active]
        for endpoint in active:
            endpoints.send_test(endpoint)
        self._say(request, f"A worker sends a test event to {_counted(len(active), 'endpoint')}.", len(active))

    @admin.action(permissions=["change"], description="Send again what failed or was missed")
    def send_again(self, request: HttpRequest, chosen: QuerySet[Endpoint]) -> HttpResponse | None:
        """Ask since when, and send the endpoints what they have not accepted since."""
        form = Since(request.POST if "since_0" in request.POST else None, initial={"since": _usual_start(chosen)})
        if not form.is_valid():
            context = {**self._context(request, "Send again"), "form": form, "chosen": chosen}
            context["media"] += form.media
            return TemplateResponse(request, "admin/heliograph_webhooks/send_again.html", context)
        active = [one for one in chosen if one.is_active]
        count = sum(endpoints.send_again(one, form.cleaned_data["since"]) for one in active)
        self._say(
            request, f"A worker sends {_counted(count, 'message')} to {_counted(len(active), 'endpoint')}.", count
        )
        return None

    @admin.action(permissions=["change"], description="Enable")
    def enable(self, request: HttpRequest, chosen: QuerySet[Endpoint]) -> None:
        """Send the endpoints events again."""
        for endpoint in chosen:
            endpoints.enable(endpoint)
            self.log_change(request, endpoint, "Enabled.")

    @admin.action(permissions=["change"], description="Disable")
    def disable(self, request: HttpRequest, chosen: QuerySet[Endpoint]) -> None:
        """Send the endpoints nothing more."""
        for endpoint in chosen:
            endpoints.disable(endpoint, f"{request.user.get_username()} has disabled it.")
            self.log_change(request, endpoint, "Disabled.")

    @admin.action(permissions=["change"], description="Give a new secret")
    def rotate_secret(self, request: HttpRequest, chosen: QuerySet[Endpoint]) -> None:
        """Give the endpoints new secrets; the present ones sign beside them for some time."""
        for endpoint in chosen:
            endpoints.rotate_secret(endpoint)
            self.log_change(request, endpoint, "Has a new secret.")

    def _say(self, request: HttpRequest, text: str, count: int) -> None:
        self.message_user(request, text, messages.SUCCESS if count else messages.WARNING)


def _usual_start(chosen: QuerySet[Endpoint]) -> Any:
    """Return since when endpoints have failed, or the time a day ago."""
    times = [time for one in chosen for time in (one.first_failure_at, one.disabled_at) if time is not None]
    return min(times, default=timezone.now() - timedelta(days=1))


def _minute(at: Any) -> str:
    return f"{timezone.localtime(at):%Y-%m-%d %H:%M}" if at is not None else "-"


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


# --- attempts -----------------------------------------------------------------------------------------------------


class EndFilter(admin.SimpleListFilter):
    """Attempts that have failed, or not."""

    title, parameter_name = "end", "end"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("failed", "failed"), ("delivered", "delivered")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Attempt]) -> QuerySet[Attempt] | None:
        match self.value():
            case "failed":
                return queryset.exclude(error="")
            case "delivered":
                return queryset.filter(error="")
            case _:
                return None


@admin.register(Attempt)
class AttemptAdmin(ReadOnlyAdmin):
    """A list of requests, and a page for each with what was sent and how the answer began. Nothing can be edited."""

    list_display = ("id", "endpoint", "event", "number", "status_code", "error", "shown_seconds", "created_at")
    list_filter = (EndFilter, ("endpoint", admin.RelatedOnlyFieldListFilter))
    list_select_related = ("endpoint", "message")
    search_fields = ("message__id__exact", "message__event", "error")
    search_help_text = "A webhook-id, or a part of the event or the error."
    ordering = ("-id",)
    sortable_by = ()
    show_full_result_count = False
    actions = ("replay",)
    fields = ("endpoint", "message", "number", "created_at", "status_code", "error", "shown_seconds", "answer", "sent")
    readonly_fields = ("shown_seconds", "answer", "sent")

    def has_replay_permission(self, request: HttpRequest) -> bool:
        """Return whether the user may send messages again."""
        return bool(request.user.has_perm("heliograph_webhooks.change_endpoint"))

    @admin.action(permissions=["replay"], description="Send these messages again")
    def replay(self, request: HttpRequest, chosen: QuerySet[Attempt]) -> None:
        """Send the messages to the same endpoints, with the same webhook-id."""
        pairs = {
            (one.endpoint, one.message)
            for one in chosen.select_related("endpoint", "message")
            if one.endpoint.is_active
        }
        for endpoint, message in pairs:
            endpoints.send_to([endpoint], message)
        level = messages.SUCCESS if pairs else messages.WARNING
        self.message_user(request, f"A worker sends {_counted(len(pairs), 'message')} again.", level)

    @admin.display(description="event")
    def event(self, attempt: Attempt) -> str:
        """Return the event of the message."""
        return attempt.message.event

    @admin.display(description="seconds")
    def shown_seconds(self, attempt: Attempt) -> str:
        """Return how long the request took."""
        return f"{attempt.seconds:.2f}"

    @admin.display(description="answer")
    def answer(self, attempt: Attempt) -> str:
        """Return how the answer began."""
        return _text(attempt.response)

    @admin.display(description="what was sent")
    def sent(self, attempt: Attempt) -> str:
        """Return the body of the request."""
        return _text(attempt.message.body)


def _text(text: str) -> str | SafeString:
    return format_html('<pre style="white-space: pre-wrap">{}</pre>', text) if text else "-"
