"""The addresses of onboarding."""

from django.contrib.auth.views import LoginView, LogoutView
from django.urls import path

from onboarding import views

app_name = "onboarding"
urlpatterns = [
    path("", views.ActivityView.as_view(), name="activity"),
    path("register/", views.register, name="register"),
    path("enter/", LoginView.as_view(template_name="onboarding/enter.html"), name="enter"),
    path("leave/", LogoutView.as_view(), name="leave"),
    path("me/", views.profile, name="profile"),
]
