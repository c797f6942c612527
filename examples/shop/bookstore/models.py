"""Books, who wrote them, what readers say of them, and who bought them. Money is in whole cents."""

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.urls import reverse


class Author(models.Model):
    """Somebody who wrote a book."""

    name = models.CharField(max_length=100, unique=True)
    slug = models.SlugField(max_length=100, unique=True, editable=False)
    books_written = models.PositiveIntegerField(default=0, editable=False)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Category(models.Model):
    """A shelf of the bookstore."""

    name = models.CharField(max_length=50, unique=True)
    slug = models.SlugField(max_length=50, unique=True, editable=False)
    books_inside = models.PositiveIntegerField(default=0, editable=False)

    class Meta:
        ordering = ["name"]
        verbose_name_plural = "categories"

    def __str__(self) -> str:
        return self.name


class Book(models.Model):
    """A book that the store sells."""

    title = models.CharField(max_length=100)
    slug = models.SlugField(max_length=100, unique=True, editable=False)
    authors = models.ManyToManyField(Author, related_name="books")
    categories = models.ManyToManyField(Category, related_name="books")
    cents = models.PositiveIntegerField()
    cover = models.FileField(upload_to="covers", blank=True)
    is_featured = models.BooleanField(default=False)
    stock = models.IntegerField(default=0, help_text="Kept by reserve().")
    received = models.IntegerField(default=0, help_text="All that has ever come in.")
    rating = models.FloatField(null=True, editable=False, help_text="Kept by keep().")
    reviews_written = models.IntegerField(default=0, editable=False, help_text="Kept by keep().")

    class Meta:
        ordering = ["title"]
        permissions = [("explain_book", "Can explain books")]

    def __str__(self) -> str:
        return self.title

    def get_absolute_url(self) -> str:
        """Return the address of the book's page."""
        return reverse("bookstore:book", args=[self.slug])


class Review(models.Model):
    """The review of a book by a reader, who has one review of each book."""

    book = models.ForeignKey(Book, on_delete=models.CASCADE, related_name="reviews")
    reader = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="reviews")
    stars = models.PositiveSmallIntegerField(validators=[MinValueValidator(1), MaxValueValidator(5)])
    text = models.TextField(blank=True)
    written_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-pk"]
        constraints = [models.UniqueConstraint(fields=["book", "reader"], name="one_review_of_a_reader")]
        permissions = [("explain_review", "Can explain reviews")]

    def __str__(self) -> str:
        return f"{self.stars} of 5 stars for {self.book}"


class Purchase(models.Model):
    """Copies of a book that somebody bought; a cancelled one stays, and its copies go back."""

    book = models.ForeignKey(Book, on_delete=models.PROTECT, related_name="purchases")
    reader = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="purchases")
    quantity = models.PositiveIntegerField(default=1, validators=[MinValueValidator(1)])
    cents = models.PositiveIntegerField(help_text="For all copies.")
    is_cancelled = models.BooleanField(default=False)
    bought_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-pk"]

    def __str__(self) -> str:
        return f"{self.quantity} x {self.book}"


class LoyaltyCard(models.Model):
    """The points of a reader: one for each whole dollar."""

    reader = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="loyalty_card")
    points = models.IntegerField(default=0, editable=False, help_text="Kept by keep().")

    def __str__(self) -> str:
        return f"{self.points} points of {self.reader}"


class Points(models.Model):
    """Points that a purchase has earned."""

    card = models.ForeignKey(LoyaltyCard, on_delete=models.CASCADE, related_name="entries")
    purchase = models.OneToOneField(Purchase, on_delete=models.CASCADE, related_name="earned")
    points = models.IntegerField()

    class Meta:
        verbose_name_plural = "points"

    def __str__(self) -> str:
        return f"{self.points} points for {self.purchase}"


class StockAlert(models.Model):
    """A book of which few copies were left; there is one alert for each time that this happened."""

    book = models.ForeignKey(Book, on_delete=models.CASCADE, related_name="alerts")
    left = models.IntegerField()
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-pk"]

    def __str__(self) -> str:
        return f"{self.left} of {self.book} left"
