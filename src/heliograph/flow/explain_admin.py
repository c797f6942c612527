"""The mixin of a ModelAdmin whose change page explains what saving or deleting the object would cause."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib.admin.utils import quote, unquote
from django.contrib.auth import get_permission_codename
from django.core.checks import CheckMessage, Warning
from django.core.exceptions import PermissionDenied
from django.db import connections, router, transaction
from django.db.models import FileField
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import path, reverse

from heliograph.context import acting
from heliograph.flow.analyzing.analysis import analyze
from heliograph.flow.asked_writes import asked_write
from heliograph.flow.explain import story_of


class ExplainAdminMixin:
    """A base class for a ModelAdmin: a button "Explain this save" makes the save of the form and rolls it back.

    The user needs the permission "explain" of the model, such as "shop.explain_order", beside the permission to change
    or to delete the object. The page also explains a deletion.
    """

    change_form_template = "admin/heliograph/explained_change_form.html"

    def has_explain_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return whether the user may let a write of an object be made and rolled back."""
        options = self.opts  # type: ignore[attr-defined]  # of the ModelAdmin
        return bool(request.user.has_perm(f"{options.app_label}.{get_permission_codename('explain', options)}"))

    def get_urls(self) -> list[Any]:
        own: Any = self
        # A rehearsal commits like production, and so begins outside of a transaction: also with ATOMIC_REQUESTS.
        view = transaction.non_atomic_requests(own.admin_site.admin_view(self.explain_view))
        urls: list[Any] = super().get_urls()  # type: ignore[misc]  # of the ModelAdmin
        return [path("<path:object_id>/explain/", view, name=_name_of_page(own.opts)), *urls]

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, obj: Any = None, **options: Any
    ) -> HttpResponse:
        own: Any = self
        if obj is not None and self.has_explain_permission(request, obj) and own.has_change_permission(request, obj):
            context["explain_url"] = reverse(
                f"admin:{_name_of_page(own.opts)}", args=[quote(obj.pk)], current_app=own.admin_site.name
            )
        response: HttpResponse = super().render_change_form(request, context, *args, obj=obj, **options)  # type: ignore[misc]
        return response

    def explain_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Explain a save with the values of a form, or a deletion, if one was sent; else say who would be asked."""
        own: Any = self
        obj = own.get_object(request, unquote(object_id))
        if obj is None:
            return own._get_obj_does_not_exist_redirect(request, own.opts, object_id)  # type: ignore[no-any-return]
        operation = "delete" if "delete" in request.POST else "update"
        if not self._may_explain(request, obj, operation):
            raise PermissionDenied
        return self._page(request, obj, self._report(request, obj, operation))

    def _may_explain(self, request: HttpRequest, obj: Any, operation: str) -> bool:
        own: Any = self
        may_write = own.has_delete_permission if operation == "delete" else own.has_change_permission
        return self.has_explain_permission(request, obj) and bool(may_write(request, obj))

    def _report(self, request: HttpRequest, obj: Any, operation: str) -> dict[str, Any]:
        """Return what the page says: a text, or why there is none."""
        own: Any = self
        model, using = own.model, obj._state.db or router.db_for_write(own.model)
        if request.method != "POST":
            return {"text": story_of(asked_write(model, operation, pk=obj.pk, using=using))}
        if not connections[using].features.supports_transactions:
            return {"problem": f"The database {using!r} has no transactions, and a write could not be undone."}
        form = self._form(request, obj) if "_explain" in request.POST else None
        if form is not None and not form.is_valid():
            return {"problem": "These values cannot be saved.", "form_errors": form.errors}
        values = {} if form is None else _values(form)
        with acting(request.user):
            analysis = analyze(asked_write(model, operation, pk=obj.pk, values=values, using=using))
        return {"text": analysis, "is_analysis": True, "values": sorted(values)}

    def _form(self, request: HttpRequest, obj: Any) -> Any:
        own: Any = self
        return own.get_form(request, obj, change=True)(request.POST, instance=obj)

    def _page(self, request: HttpRequest, obj: Any, report: Mapping[str, Any]) -> HttpResponse:
        own: Any = self
        context = {
            **own.admin_site.each_context(request),
            "title": f"Explain {obj}",
            "opts": own.opts,
            "original": obj,
            "has_view_permission": True,
            "may_delete": own.has_delete_permission(request, obj),
            **report,
        }
        request.current_app = own.admin_site.name
        return TemplateResponse(request, "admin/heliograph/explain.html", context)

    def check(self, **kwargs: Any) -> list[CheckMessage]:
        """Return the messages of Django's check, and a warning if no user can be given the permission."""
        options = self.opts  # type: ignore[attr-defined]
        codename = get_permission_codename("explain", options)
        found: list[CheckMessage] = super().check(**kwargs)  # type: ignore[misc]
        if codename not in {name for name, _ in options.permissions}:
            found.append(_no_permission(type(self), options, codename))
        return found


def _name_of_page(options: Any) -> str:
    return f"{options.app_label}_{options.model_name}_explain"


def _values(form: Any) -> dict[str, Any]:
    """Return the values that the form changes, without files, which would be stored, and without relations to many."""
    columns = {one.name for one in form._meta.model._meta.concrete_fields if not isinstance(one, FileField)}
    return {name: form.cleaned_data[name] for name in form.changed_data if name in columns}


def _no_permission(admin: type, options: Any, codename: str) -> CheckMessage:
    return Warning(
        f"{admin.__name__} explains writes of {options.label} to users with the permission"
        f" {options.app_label}.{codename}, which does not exist: only superusers have it.",
        hint=f'Add permissions = [("{codename}", "Can explain {options.verbose_name_plural}")] to its class Meta.',
        obj=admin,
        id="heliograph.W411",
    )
