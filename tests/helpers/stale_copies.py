"""Rows that somebody else has written since they were loaded."""

from collections import Counter

from django.db import connection

from heliograph.signals import post_delete, post_save
from tests.app.models import Post, Topic
from tests.helpers.statements import statements

WRITTEN = [post_save, post_delete]


def moved(topics):
    post = Post.objects.create(topic=topics[0], text="old")
    elsewhere(post, topic=topics[1])
    return post


def elsewhere(post, **values):
    """Write a row as another process does: no receiver of this one is called."""
    type(post)._base_manager.using(post._state.db).filter(pk=post.pk).update(**values)


def locking(operation):
    """Return the statements of an operation that read a row to lock it."""
    locked = "SELECT" if connection.vendor == "sqlite" else "FOR "
    return [sql for sql in statements(operation) if locked in sql and sql.startswith("SELECT")]


def there():
    posts = Counter(Post.objects.values_list("topic", flat=True))
    return [posts[topic.pk] for topic in Topic.objects.order_by("pk")]
