"""The admin of operations: a page that asks for a reason before deliveries change, and a page with the progress."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.templatetags.admin_urls import add_preserved_filters
from django.core import signing
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST

from heliograph.outbox.counting import counted
from heliograph.outbox.manage.operations import BY_DEFAULT, for_writing
from heliograph.outbox.manage.performing import STATES, perform, stop
from heliograph.outbox.manage.performing import request as request_operation
from heliograph.outbox.manage.selecting import Selection, as_json, look_at, of_json
from heliograph.outbox.models import Delivery, Operation, State, Verb
from heliograph.read_only_admin import ReadOnlyAdmin

# How many deliveries one operation of the admin takes: their ids are in the page.
MOST = 100_000

# How long, in seconds, a request works on an operation before it leaves the rest to workers.
SECONDS = 1.0

# For how long, in seconds, the page that asks can be answered.
_MAX_AGE = 24 * 60 * 60

_PERMISSIONS = {verb: f"heliograph_outbox.{verb}_delivery" for verb in Verb.values}


def may(request: HttpRequest, verb: str) -> bool:
    """Return whether the user may redeliver, or discard, deliveries."""
    return bool(request.user.has_perm(_PERMISSIONS[verb]))


# --- the page that asks -----------------------------------------------------------------------------------------


class OperationForm(forms.Form):
    """Which of the deliveries that are shown, and why."""

    states = forms.MultipleChoiceField(
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": "Choose at least one state."},
    )
    reason = forms.CharField(
        max_length=200,
        widget=forms.TextInput(attrs={"class": "vTextField", "autocomplete": "off"}),
        error_messages={"required": "Give a reason. It is shown with each delivery."},
    )

    def __init__(self, *args: Any, verb: str, selection: Selection, **options: Any) -> None:
        super().__init__(*args, **options)
        by_default_first = sorted(STATES[verb], key=lambda state: state not in BY_DEFAULT)
        possible = [State(state) for state in by_default_first if selection.count([state])]
        states: Any = self.fields["states"]
        states.choices = [(state.value, _choice(state, verb, selection)) for state in possible]
        states.initial = [state for state in possible if state in BY_DEFAULT]


def _choice(state: State, verb: str, selection: Selection) -> str:
    remarks = {
        (Verb.REDELIVER.value, State.SUCCESSFUL): ": they have been made, and are made once more",
        (Verb.DISCARD.value, State.READY): ": they wait, and are not made then",
    }
    return f"{selection.count([state]):,} {state.label}{remarks.get((verb, state), '')}"


class Operating(ReadOnlyAdmin):
    """An admin of deliveries, with a page that asks for a reason before deliveries are redelivered or discarded."""

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.operate_view)
        return [path("operate/<str:verb>/", view, name="heliograph_outbox_delivery_operate"), *super().get_urls()]

    def ask(self, request: HttpRequest, chosen: QuerySet[Delivery], verb: str) -> HttpResponse | None:
        """Return the page that shows what an operation would change, and asks for a reason."""
        selection = look_at(for_writing(chosen).db, [chosen], MOST)
        if not selection.count(STATES[verb]):
            self.message_user(request, _impossible(verb, selection), messages.WARNING)
            return None
        return self._page(request, OperationForm(verb=verb, selection=selection), verb, selection)

    def _page(self, request: HttpRequest, form: OperationForm, verb: str, selection: Selection) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "title": f"{verb.capitalize()} deliveries",
            "opts": self.opts,
            "original": verb.capitalize(),
            "has_view_permission": True,
            "media": self.media,
            "verb": verb,
            "form": form,
            **_shown(selection, verb),
            "shown": signing.dumps(as_json(selection), salt=_salt(verb), compress=True),
            "delivery": request.POST.get("_delivery", ""),
            "action_url": self._url("operate", request, verb),
            "cancel_url": self._after(request),
        }
        return TemplateResponse(request, "admin/heliograph_outbox/delivery/operate.html", context)

    def operate_view(self, request: HttpRequest, verb: str) -> HttpResponse:
        """Do what the page has asked about."""
        if verb not in Verb.values:
            raise Http404(f"There is no operation {verb!r}.")
        if not may(request, verb):
            raise PermissionDenied
        try:
            facts = signing.loads(request.POST.get("shown", ""), salt=_salt(verb), max_age=_MAX_AGE)
        except signing.BadSignature:
            self.message_user(request, "Nothing was changed: choose the deliveries once more.", messages.WARNING)
            return redirect(self._after(request))
        selection = of_json(facts)
        form = OperationForm(request.POST, verb=verb, selection=selection)
        if not form.is_valid():
            return self._page(request, form, verb, selection)
        return self._operate(request, verb, selection, form.cleaned_data)

    def _operate(self, request: HttpRequest, verb: str, selection: Selection, wanted: dict[str, Any]) -> HttpResponse:
        by = request.user.get_username()
        operation = request_operation(selection, verb, wanted["states"], by=by, reason=wanted["reason"])
        self.log_addition(request, operation, wanted["reason"])
        perform(operation, SECONDS)
        if operation.finished_at is None:
            return redirect(f"{self.admin_site.name}:heliograph_outbox_operation_change", operation.pk)
        self.message_user(request, *_said(operation))
        return redirect(self._after(request))

    def _after(self, request: HttpRequest) -> str:
        """Return where the user came from: a delivery, or the list with its filters."""
        number = request.POST.get("_delivery", "")
        return self._url("change", request, number) if number.isdecimal() else self._url("changelist", request)

    def _url(self, name: str, request: HttpRequest, *arguments: str) -> str:
        url = reverse(f"{self.admin_site.name}:heliograph_outbox_delivery_{name}", args=arguments)
        return add_preserved_filters({"preserved_filters": self.get_preserved_filters(request), "opts": self.opts}, url)


def _shown(selection: Selection, verb: str) -> dict[str, Any]:
    """Return the facts about a selection for the page."""
    others = [State(state) for state in selection.ids if state not in STATES[verb]]
    return {
        "groups": [(f"{count:,}", group, with_breaks(group.receiver)) for group, count in selection.groups],
        "others": f"{selection.others:,}" if selection.others else "",
        "staying": [f"{selection.count([state]):,} {state.label}" for state in others],
        "is_cut": selection.is_cut,
        "count": f"{selection.count():,}",
    }


def with_breaks(name: str) -> str:
    """Return a dotted name, in which a browser may break lines before the dots."""
    return format_html_join(SafeString("<wbr>."), "{}", ((part,) for part in name.split(".")))


def _salt(verb: str) -> str:
    return f"heliograph.outbox.{verb}"


def _impossible(verb: str, selection: Selection) -> str:
    *others, last = (state.lower() for state in STATES[verb])
    allowed, count = f"{', '.join(others)} or {last}", selection.count()
    return f"Nothing was changed: only what is {allowed} can be {verb}ed, and the state of {counted(count)} is another."


def _said(operation: Operation) -> tuple[str, int]:
    """Return the message about an operation that is done, and its level."""
    done = f"{operation.verbed.capitalize()} {counted(operation.changed)}."
    if not (left := operation.total - operation.changed):
        return done, messages.SUCCESS
    return f"{done} {counted(left).capitalize()} stayed: a worker or somebody else was faster.", messages.WARNING


# --- the page with the progress ---------------------------------------------------------------------------------


@admin.register(Operation)
class OperationAdmin(ReadOnlyAdmin):
    """A list of operations, and a page of one with its user, its reason and its progress."""

    list_display = ("id", "__str__", "state", "by", "reason", "created_at")
    fields = ("state", "progress", "by", "reason", "states", "created_at", "finished_at")
    readonly_fields = ("state", "progress")
    ordering = ("-id",)
    sortable_by = ()
    show_full_result_count = False

    class Media:
        css = {"all": ["heliograph_outbox/admin.css"]}  # noqa: RUF012 - as Django declares it

    def get_queryset(self, request: HttpRequest) -> QuerySet[Operation]:
        found: QuerySet[Operation] = super().get_queryset(request)
        return found.defer("ids")

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(require_POST(self.stop_view))
        return [path("<int:number>/stop/", view, name="heliograph_outbox_operation_stop"), *super().get_urls()]

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **options: Any) -> HttpResponse:
        found = self.get_object(request, object_id)
        context = {}
        if found is not None and found.finished_at is None:
            context = {"is_open": True, "may_stop": may(request, found.verb)}
        return super().change_view(request, object_id, *args, **{**options, "extra_context": context})

    def stop_view(self, request: HttpRequest, number: int) -> HttpResponse:
        """End an operation before it is done."""
        operation = self.get_object(request, str(number))
        if operation is None:
            raise Http404(f"There is no operation {number}.")
        if not may(request, operation.verb):
            raise PermissionDenied
        stop(operation)
        self.log_change(request, operation, "Stopped.")
        return redirect(f"{self.admin_site.name}:heliograph_outbox_operation_change", number)

    # --- what may be done -------------------------------------------------------------------------------------

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm("heliograph_outbox.view_delivery"))

    # --- what is shown ----------------------------------------------------------------------------------------

    @admin.display(description="state")
    def state(self, operation: Operation) -> str:
        """Return whether it waits, runs, is done or was stopped."""
        return "waits for a worker" if operation.status == "waiting" else operation.status

    @admin.display(description="progress")
    def progress(self, operation: Operation) -> str:
        """Return how far it is, as a bar and in words."""
        words = f"{operation.done:,} of {counted(operation.total)}, {operation.changed:,} {operation.verbed}"
        bar = '<progress class="delivery-progress" max="{}" value="{}" aria-label="Progress"></progress> {}'
        return format_html(bar, operation.total, operation.done, words)
