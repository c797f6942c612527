"""Readers who comment, reply and mention, and moderators."""

from random import Random

from blog.models import Post
from comments.models import Comment
from demo.traffic.onboarding import NAMES, person


def open_it(random: Random) -> None:
    """Nothing is said in the beginning."""


def _comment(random: Random) -> Comment:
    return random.choice(Comment.objects.order_by("pk") or [say(random)])


def say(random: Random) -> Comment:
    """A reader comments a post, and mentions somebody; every fourth comment has a link."""
    link = random.choice(["", "", "", " See ftp://nowhere."])
    body = f"I agree with @{random.choice(NAMES)}.{link}"
    return Comment.objects.create(post=random.choice(Post.objects.order_by("pk")), author=person(random), body=body)


def reply(random: Random) -> None:
    """A reader replies to a comment."""
    parent = _comment(random)
    Comment.objects.create(post=parent.post, parent=parent, author=person(random), body="So do I.")


def moderate(random: Random) -> None:
    """A moderator shows or hides a comment, or shows all that wait by a query."""
    if random.random() < 0.2:
        Comment.objects.filter(status="waiting").update(status="shown")
        return
    comment = _comment(random)
    comment.status = random.choice(["shown", "hidden"])
    comment.save(update_fields=["status"])


def delete(random: Random) -> None:
    """A reader deletes a comment, with all replies."""
    _comment(random).delete()


ACTIONS = (say, say, say, reply, reply, reply, moderate, moderate, delete)
