"""The address of the recording."""

from django.urls import path

from demo import views

urlpatterns = [path("", views.SignalsView.as_view(), name="signals")]
