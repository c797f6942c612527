"""The form of an author."""

from django import forms

from blog.models import Post


class PostForm(forms.ModelForm):
    """A post as its author writes it."""

    class Meta:
        model = Post
        fields = ["title", "body"]
        widgets = {"body": forms.Textarea(attrs={"rows": 12})}
