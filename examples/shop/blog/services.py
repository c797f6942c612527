"""The actions of the blog, each in one transaction."""

from django.contrib.auth.models import User

from blog.models import Follow, Post


def publish(post: Post) -> None:
    """Let others read a post; ForbiddenTransition is raised if that cannot be."""
    _move(post, Post.Status.PUBLISHED)


def withdraw(post: Post) -> None:
    """Hide a post again; ForbiddenTransition is raised if that cannot be."""
    _move(post, Post.Status.WITHDRAWN)


def _move(post: Post, status: Post.Status) -> None:
    post.status = status
    post.save(update_fields=["status"])


def follow(follower: User, author: User) -> None:
    """Let a user know of what the author publishes from now on."""
    Follow.objects.get_or_create(follower=follower, author=author)


def unfollow(follower: User, author: User) -> None:
    """Let a user know no more of what the author publishes."""
    Follow.objects.filter(follower=follower, author=author).delete()
