"""The addresses of the shop and of the checkout."""

from config.urls import urlpatterns as shop
from django.urls import path

from benchmarks.load.checkout import views

urlpatterns = [path("checkout/", views.place), *shop]
