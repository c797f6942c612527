"""Authors who write, publish, withdraw and rename, and readers who follow them."""

from random import Random

from django.contrib.auth.models import User

from blog import opening, services
from blog.models import Follow, Post
from demo.traffic.onboarding import person

WORDS = ["mirror", "signal", "river", "bread", "lamp", "bridge", "storm", "ladder", "copper", "clock"]


def open_it(random: Random) -> None:
    """Let a hundred and fifty readers follow the first author, and three authors publish."""
    authors = list(User.objects.exclude(email="").order_by("pk")[:3])
    readers = User.objects.bulk_create(User(username=f"reader{number}", password="!") for number in range(150))
    Follow.objects.bulk_create(Follow(follower=reader, author=authors[0]) for reader in readers)
    opening.open_blog(authors)


def _post(random: Random) -> Post:
    return random.choice(Post.objects.order_by("pk"))


def _recent(random: Random) -> Post:
    return random.choice(Post.objects.filter(title__startswith="On the").order_by("pk") or [write(random)])


def _title(random: Random) -> str:
    return f"On the {random.choice(WORDS)}"


def write(random: Random) -> Post:
    """An author writes a post, under a title that others have chosen too."""
    return Post.objects.create(author=person(random), title=_title(random), body=" ".join(random.sample(WORDS, 5)))


def publish(random: Random) -> None:
    """An author publishes a post, maybe for the second time."""
    services.publish(_post(random))


def withdraw(random: Random) -> None:
    """An author withdraws a post, which is refused for a draft."""
    services.withdraw(_recent(random))


def publish_all(random: Random) -> None:
    """An author publishes all drafts by a query."""
    Post.objects.filter(author=person(random), status="draft").update(status="published")


def rename(random: Random) -> None:
    """An author gives a post another title."""
    post = _recent(random)
    post.title = _title(random)
    post.save()


def delete(random: Random) -> None:
    """An author deletes a post, with its comments."""
    _recent(random).delete()


def follow(random: Random) -> None:
    """A reader follows an author."""
    services.follow(person(random), person(random))


ACTIONS = (write, write, write, publish, publish, withdraw, publish_all, rename, delete, follow)
