"""The addresses of the comments."""

from django.urls import path

from comments import views

app_name = "comments"
urlpatterns = [
    path("", views.latest, name="latest"),
    path("<int:pk>/moderate/", views.moderate, name="moderate"),
    path("on/<slug:slug>/", views.say, name="say"),
    path("<int:pk>/delete/", views.delete, name="delete"),
]
