"""The form of a reader."""

from django import forms

from comments.models import Comment


class CommentForm(forms.ModelForm):
    """A comment, or a reply to one."""

    class Meta:
        model = Comment
        fields = ["body"]
        labels = {"body": "Your comment"}
        help_texts = {"body": "@name mentions somebody. A comment with a link waits for a moderator."}
        widgets = {"body": forms.Textarea(attrs={"rows": 3})}
