"""The forms of readers and shopkeepers."""

from django import forms

from bookstore.models import Book, Purchase, Review

STARS = [(5, "5, wonderful"), (4, "4, good"), (3, "3, fine"), (2, "2, weak"), (1, "1, poor")]


class PurchaseForm(forms.ModelForm):
    """How many copies a reader wants."""

    class Meta:
        model = Purchase
        fields = ["quantity"]
        labels = {"quantity": "Copies"}
        widgets = {"quantity": forms.NumberInput(attrs={"min": 1, "max": 100})}


class ReviewForm(forms.ModelForm):
    """The review of a book by a reader."""

    class Meta:
        model = Review
        fields = ["stars", "text"]
        widgets = {"stars": forms.Select(choices=STARS), "text": forms.Textarea(attrs={"rows": 3})}


class RestockForm(forms.Form):
    """How many copies have come in."""

    copies = forms.IntegerField(min_value=1, max_value=1000, initial=10)


class BookForm(forms.ModelForm):
    """A book as a shopkeeper describes it; its stock begins at 0, and its slug comes by itself."""

    price = forms.DecimalField(min_value=0, max_digits=6, decimal_places=2, label="Price in dollars")

    class Meta:
        model = Book
        fields = ["title", "authors", "categories"]
        widgets = {"authors": forms.CheckboxSelectMultiple, "categories": forms.CheckboxSelectMultiple}

    def save(self, commit: bool = True) -> Book:
        """Store the book with its price in cents."""
        self.instance.cents = int(self.cleaned_data["price"] * 100)
        return super().save(commit)
