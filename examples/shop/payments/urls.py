"""The addresses of the payments."""

from django.urls import path

from payments import views

app_name = "payments"
urlpatterns = [
    path("", views.PaymentsView.as_view(), name="payments"),
    path("<int:pk>/pay/", views.pay, name="pay"),
]
