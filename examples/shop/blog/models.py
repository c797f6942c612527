"""Posts, the followers of their authors, notifications of followers, and statistics of authors."""

from django.conf import settings
from django.db import models
from django.urls import reverse


class Post(models.Model):
    """Something to read, once it is published."""

    class Status(models.TextChoices):
        """Whether others can read it."""

        DRAFT = "draft"
        PUBLISHED = "published"
        WITHDRAWN = "withdrawn"

    author = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="posts")
    title = models.CharField(max_length=120)
    slug = models.SlugField(max_length=120, unique=True, editable=False)
    body = models.TextField()
    status = models.CharField(max_length=10, choices=Status, default=Status.DRAFT, editable=False)
    published_at = models.DateTimeField(null=True, editable=False)
    edited_at = models.DateTimeField(null=True, editable=False)
    comments_shown = models.IntegerField(default=0, editable=False, help_text="Kept by comments.receivers.")

    class Meta:
        ordering = ["-published_at", "-pk"]

    def __str__(self) -> str:
        return self.title

    def get_absolute_url(self) -> str:
        """Return the address of the post's page."""
        return reverse("blog:post", args=[self.slug])

    @property
    def is_published(self) -> bool:
        """Whether others can read it."""
        return self.status == self.Status.PUBLISHED


class Follow(models.Model):
    """A user who wants to know of the posts of another one."""

    follower = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="follows")
    author = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="followers")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["author", "follower"], name="one_follow_of_an_author")]

    def __str__(self) -> str:
        return f"{self.follower} follows {self.author}"


class Notification(models.Model):
    """The notice of a new post to a follower, who gets one notice however often the post is published."""

    follower = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="notifications")
    post = models.ForeignKey(Post, on_delete=models.CASCADE, related_name="notifications")

    class Meta:
        ordering = ["-pk"]
        constraints = [models.UniqueConstraint(fields=["follower", "post"], name="one_notification_of_a_post")]

    def __str__(self) -> str:
        return f"{self.post} for {self.follower}"


class AuthorStatistics(models.Model):
    """How much an author has written, and how much others have said about it."""

    author = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, primary_key=True, related_name="statistics"
    )
    posts = models.IntegerField(default=0)
    published = models.IntegerField(default=0)
    comments = models.IntegerField(default=0)

    class Meta:
        verbose_name_plural = "author statistics"

    def __str__(self) -> str:
        return f"Statistics of {self.author}"
