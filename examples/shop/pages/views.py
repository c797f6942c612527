"""The index of the applications, their receivers as text, mails, and the history of a row."""

from typing import Any

from django.apps import apps
from django.contrib.auth.mixins import LoginRequiredMixin
from django.db.models import QuerySet
from django.http import Http404
from django.views.generic import ListView, TemplateView
from heliograph.audit import history
from heliograph.audit.models import Entry

from mailing.models import Mail
from pages.applications import APPLICATIONS, application
from pages.timing import TIMES


class IndexView(TemplateView):
    """All applications."""

    template_name = "pages/index.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Add the applications, and how long requests take."""
        return super().get_context_data(applications=APPLICATIONS, times=TIMES, **kwargs)


class ReceiversView(TemplateView):
    """The receivers of an application, as they are written."""

    template_name = "pages/receivers.html"

    def get_context_data(self, *, name: str, **kwargs: Any) -> dict[str, Any]:
        """Add the files."""
        if (shown := application(name)) is None:
            raise Http404(f"There is no application {name}.")
        files = [(path.name, path.read_text(encoding="utf-8")) for path in shown.sources]
        return super().get_context_data(application=shown, files=files, **kwargs)


class ActionsView(TemplateView):
    """The page that tells, for each action of an application, which receivers it would call."""

    template_name = "pages/actions.html"

    def get_context_data(self, *, name: str, **kwargs: Any) -> dict[str, Any]:
        """Add the application."""
        if (shown := application(name)) is None:
            raise Http404(f"There is no application {name}.")
        return super().get_context_data(application=shown, **kwargs)


class MailsView(LoginRequiredMixin, ListView):
    """The mails of whoever is signed in."""

    template_name = "pages/mails.html"
    paginate_by = 20

    def get_queryset(self) -> QuerySet[Mail]:
        """Return the mails to the address of the user, the latest first."""
        return Mail.objects.filter(to=self.request.user.email or None).order_by("-pk")


class HistoryView(ListView):
    """The page of a row's history in the audit log: each change with its time, its actor, old and new values."""

    template_name = "pages/history.html"
    paginate_by = 20

    def get_queryset(self) -> QuerySet[Entry]:
        """Return the entries of the row, also if the row was deleted."""
        if application(self.kwargs["app"]) is None:
            raise Http404("There is no such application.")
        try:
            model = apps.get_model(self.kwargs["app"], self.kwargs["model"])
        except LookupError as error:
            raise Http404(str(error)) from None
        self.row = model._base_manager.filter(pk=self.kwargs["key"]).first()
        return history((model, self.kwargs["key"]))

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Add the row, if it is still there."""
        return super().get_context_data(row=self.row, **kwargs)
