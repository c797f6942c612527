"""The posts that are there from the beginning; all of them are invented."""

from collections.abc import Sequence

from django.contrib.auth.models import User
from django.db import transaction

from blog import services
from blog.models import Post

POSTS = [
    (
        "A mirror is faster than a horse",
        "Sixty miles, one flash, and a clear sky. The message was there before the rider had found his other boot."
        " What it took was a tripod, a shutter, and somebody at the far end who was looking in the right direction.",
    ),
    (
        "What we learned from counting twice",
        "Two of us counted the sheep at the same time, and both wrote down what we saw. Since then one of us holds the"
        " gate. It takes no longer, and the number is right.",
    ),
    (
        "Letters that arrive",
        "Put the letter into the same drawer as the decision, and close the drawer once. Somebody comes by every"
        " morning, takes what is there, and comes again if nobody opens.",
    ),
]


@transaction.atomic
def open_blog(authors: Sequence[User]) -> None:
    """Create and publish the posts, each by another author."""
    for author, (title, body) in zip(authors, POSTS, strict=False):
        services.publish(Post.objects.create(author=author, title=title, body=body))
