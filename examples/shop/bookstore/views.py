"""The bookstore's pages: look, buy, review, and keep shop."""

from random import randrange
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import ProtectedError, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST
from django.views.generic import DetailView, ListView

from bookstore import services
from bookstore.best import best_books
from bookstore.forms import BookForm, PurchaseForm, RestockForm, ReviewForm
from bookstore.models import Author, Book, Category, Purchase, Review, StockAlert
from onboarding.roles import SHOPKEEPERS, is_in, only


class BookListView(ListView):
    """The books of one category, or all."""

    template_name = "bookstore/books.html"

    def get_queryset(self) -> QuerySet[Book]:
        """Return the books of the category that was asked for, the featured ones first."""
        books = Book.objects.prefetch_related("authors").order_by("-is_featured", "title")
        category = self.request.GET.get("category")
        return books.filter(categories__slug=category) if category else books

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Add the categories to choose from, and the best books."""
        chosen = self.request.GET.get("category")
        keeps_shop = is_in(self.request.user, SHOPKEEPERS)
        return super().get_context_data(
            categories=Category.objects.all(), chosen=chosen, best=best_books(), keeps_shop=keeps_shop, **kwargs
        )


class BookView(DetailView):
    """A book, what readers say of it, and what the visitor may do with it."""

    template_name = "bookstore/book.html"
    queryset = Book.objects.prefetch_related("authors", "categories", "reviews__reader")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Add the forms for whoever is signed in."""
        user, book = self.request.user, self.object
        mine = Review.objects.filter(book=book, reader=user).first() if user.is_authenticated else None
        return super().get_context_data(
            purchase_form=PurchaseForm(),
            review_form=ReviewForm(instance=mine),
            mine=mine,
            purchases=book.purchases.filter(reader=user).select_related("payment") if user.is_authenticated else (),
            restock_form=RestockForm() if is_in(user, SHOPKEEPERS) else None,
            alerts=StockAlert.objects.filter(book=book)[:5],
            **kwargs,
        )


class AuthorListView(ListView):
    """The authors, and how many books each has."""

    template_name = "bookstore/authors.html"
    queryset = Author.objects.prefetch_related("books")


@require_POST
@login_required
def buy(request: HttpRequest, slug: str) -> HttpResponse:
    """Buy copies of a book, if there are as many."""
    book, form = get_object_or_404(Book, slug=slug), PurchaseForm(request.POST)
    if not form.is_valid():
        messages.error(request, "How many copies? Give a number from 1 on.")
        return redirect(book)
    try:
        purchase = services.buy(request.user, book, form.cleaned_data["quantity"])
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    else:
        messages.success(request, f"You have bought {purchase}.")
    return redirect(book)


@require_POST
@login_required
def cancel(request: HttpRequest, pk: int) -> HttpResponse:
    """Cancel a purchase of the user."""
    purchase = get_object_or_404(Purchase, pk=pk, reader=request.user)
    services.cancel(purchase)
    messages.success(request, f"{purchase} is cancelled.")
    return redirect(purchase.book)


@require_POST
@login_required
def review(request: HttpRequest, slug: str) -> HttpResponse:
    """Store the review of the user, the first one or another one."""
    book, form = get_object_or_404(Book, slug=slug), ReviewForm(request.POST)
    if form.is_valid():
        # Also if another click on the same button has stored the review meanwhile.
        Review.objects.update_or_create(book=book, reader=request.user, defaults=form.cleaned_data)
        messages.success(request, f"Your review of {book} is there.")
    else:
        messages.error(request, "A review has one to five stars.")
    return redirect(book)


@require_POST
@login_required
def withdraw_review(request: HttpRequest, slug: str) -> HttpResponse:
    """Delete the review of the user."""
    Review.objects.filter(book__slug=slug, reader=request.user).delete()
    messages.success(request, "Your review is gone.")
    return redirect("bookstore:book", slug)


@only(SHOPKEEPERS)
@transaction.atomic
def new_book(request: HttpRequest) -> HttpResponse:
    """Add a book, with a cover that is drawn for it."""
    form = BookForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        book = form.save()
        services.draw_cover(book, design=0)
        messages.success(request, f"{book} is on the shelf. Restock it next.")
        return redirect(book)
    return render(request, "bookstore/new_book.html", {"form": form})


@require_POST
@only(SHOPKEEPERS)
def keep_shop(request: HttpRequest, slug: str) -> HttpResponse:
    """Do what a shopkeeper does with a book, and go back to it."""
    book = get_object_or_404(Book, slug=slug)
    match request.POST.get("action"):
        case "restock" if (form := RestockForm(request.POST)).is_valid():
            services.restock(book, form.cleaned_data["copies"])
        case "draw another cover":
            services.draw_cover(book, randrange(10_000))
        case "feature" | "stop featuring" as action:
            book.is_featured = action == "feature"
            book.save(update_fields=["is_featured"])
        case _:
            messages.error(request, "Nothing was done: how many copies have come in?")
    return redirect(book)


@require_POST
@only(SHOPKEEPERS)
def delete_book(request: HttpRequest, slug: str) -> HttpResponse:
    """Delete a book, unless it is featured or somebody has bought it."""
    book = get_object_or_404(Book, slug=slug)
    try:
        book.delete()
    except ProtectedError as error:
        messages.error(request, error.args[0])
        return redirect(book)
    messages.success(request, f"{book} is gone, with its reviews and its cover.")
    return redirect("bookstore:books")
