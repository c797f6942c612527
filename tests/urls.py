"""The URLs of the test project."""

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
