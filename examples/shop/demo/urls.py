"""The addresses of the recording, and of the deliveries in the admin."""

from django.urls import path

from demo import views

urlpatterns = [
    path("", views.SignalsView.as_view(), name="signals"),
    path("deliveries/", views.DeliveriesView.as_view(), name="deliveries"),
]
