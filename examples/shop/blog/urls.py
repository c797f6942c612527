"""The addresses of the blog."""

from django.urls import path

from blog import views

app_name = "blog"
urlpatterns = [
    path("", views.PostListView.as_view(), name="posts"),
    path("new/", views.write, name="new"),
    path("by/<str:username>/", views.AuthorView.as_view(), name="author"),
    path("by/<str:username>/follow/", views.follow, name="follow"),
    path("<slug:slug>/", views.PostView.as_view(), name="post"),
    path("<slug:slug>/edit/", views.write, name="edit"),
    path("<slug:slug>/move/", views.move, name="move"),
]
