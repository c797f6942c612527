"""Books and reviews in the admin, which explains what saving them would cause."""

from django.contrib import admin
from heliograph.flow.explain_admin import ExplainAdminMixin

from bookstore.models import Book, Review


@admin.register(Book)
class BookAdmin(ExplainAdminMixin, admin.ModelAdmin):
    """Books; who may explain a save has a button for it."""

    list_display = ("title", "stock", "rating", "is_featured")


@admin.register(Review)
class ReviewAdmin(ExplainAdminMixin, admin.ModelAdmin):
    """Reviews; who may explain a save has a button for it."""

    list_display = ("book", "reader", "stars")
