"""The addresses of what the applications share."""

from django.urls import path

from pages import views

app_name = "pages"
urlpatterns = [
    path("", views.IndexView.as_view(), name="index"),
    path("mails/", views.MailsView.as_view(), name="mails"),
    path("<slug:name>/receivers/", views.ReceiversView.as_view(), name="receivers"),
    path("<slug:name>/actions/", views.ActionsView.as_view(), name="actions"),
    path("<slug:app>/history/<slug:model>/<int:key>/", views.HistoryView.as_view(), name="history"),
]
