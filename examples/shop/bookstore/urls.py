"""The addresses of the bookstore."""

from django.urls import path

from bookstore import views

app_name = "bookstore"
urlpatterns = [
    path("", views.BookListView.as_view(), name="books"),
    path("authors/", views.AuthorListView.as_view(), name="authors"),
    path("new/", views.new_book, name="new"),
    path("purchases/<int:pk>/cancel/", views.cancel, name="cancel"),
    path("book/<slug:slug>/", views.BookView.as_view(), name="book"),
    path("book/<slug:slug>/buy/", views.buy, name="buy"),
    path("book/<slug:slug>/review/", views.review, name="review"),
    path("book/<slug:slug>/review/withdraw/", views.withdraw_review, name="withdraw_review"),
    path("book/<slug:slug>/keep/", views.keep_shop, name="keep_shop"),
    path("book/<slug:slug>/delete/", views.delete_book, name="delete"),
]
