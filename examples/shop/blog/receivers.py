"""How a post is published, found, counted and announced."""

from typing import Any

from django.db.models import Count, Q, Sum
from heliograph import Discard, Durable, changed, created, receiver
from heliograph.audit import audit
from heliograph.recipes import keep_groups, search_index, stamp, transitions, unique_slug
from heliograph.signals import post_save

from blog.models import AuthorStatistics, Follow, Notification, Post
from blog.signals import followers_left

MOVES = {"draft": {"published"}, "published": {"withdrawn"}, "withdrawn": {"published"}}
PUBLISHED = changed("status", to="published")
BATCH = 100  # followers

KEPT = [
    unique_slug(Post, "slug", source="title", reserved={"new"}),
    transitions(Post, "status", MOVES, initial={"draft"}),
    stamp(Post, "published_at", when=PUBLISHED),
    stamp(Post, "edited_at", when=created | changed("title", "body")),
    search_index(Post, ["title", "body", "author.username"], when=Q(status="published")),
    keep_groups(
        Post,
        into=AuthorStatistics,
        by={"author": "author"},
        posts=Count("*"),
        published=Count("pk", filter=Q(status="published")),
        comments=Sum("comments_shown", default=0),
    ),
    audit(Post),
]


@receiver(post_save, sender=Post, when=PUBLISHED, bulk=True)
def announce(sender: type[Post], instance: Post, **kwargs: Any) -> None:
    """Begin to notify the followers of the author."""
    followers_left.send(sender=Post, post=instance, after=0)


@receiver(followers_left, delivery=Durable())
def notify_followers(sender: type[Post], post: Post, after: int, **kwargs: Any) -> Discard | None:
    """Notify the next hundred followers, in a worker; each hundred is a transaction and a delivery of its own."""
    if not post.is_published:
        return Discard("the post was withdrawn")
    follows = Follow.objects.filter(author=post.author_id, pk__gt=after).order_by("pk")[:BATCH]
    notifications = [Notification(follower_id=follow.follower_id, post=post) for follow in follows]
    Notification.objects.bulk_create(notifications, ignore_conflicts=True)
    if len(follows) == BATCH:
        followers_left.send(sender=Post, post=post, after=follows[BATCH - 1].pk)
    return None
