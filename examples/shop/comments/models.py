"""Comments on posts, and whom they mention."""

from django.conf import settings
from django.db import models

from blog.models import Post


class Comment(models.Model):
    """The comment of a user on a post, or on another comment."""

    class Status(models.TextChoices):
        """Whether others can read it."""

        SHOWN = "shown"
        WAITING = "waiting", "waiting for a moderator"
        HIDDEN = "hidden"

    post = models.ForeignKey(Post, on_delete=models.CASCADE, related_name="comments")
    author = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="comments")
    parent = models.ForeignKey("self", on_delete=models.CASCADE, null=True, blank=True, related_name="replies")
    body = models.TextField()
    status = models.CharField(max_length=10, choices=Status, default=Status.SHOWN, editable=False)
    replies_shown = models.IntegerField(default=0, editable=False, help_text="Kept by comments.receivers.")
    written_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["pk"]

    def __str__(self) -> str:
        return f"{self.author} on {self.post}"

    def get_absolute_url(self) -> str:
        """Return the place of the comment on the page of its post."""
        return f"{self.post.get_absolute_url()}#comment-{self.pk}"


class Mention(models.Model):
    """A user whom a comment names, by @ and the name."""

    comment = models.ForeignKey(Comment, on_delete=models.CASCADE, related_name="mentions")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="mentions")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["comment", "person"], name="one_mention_in_a_comment")]

    def __str__(self) -> str:
        return f"{self.person} by {self.comment}"
