"""The applications of the demonstration: what each shows, and where its receivers are."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from django.apps import apps
from heliograph import explain

Operation = Literal["create", "update", "delete"]


@dataclass(frozen=True)
class Action:
    """Something that a visitor does: its name, the write of a row that it causes, and the values known before."""

    text: str
    model: str
    operation: Operation
    values: Mapping[str, object] = field(default_factory=dict)

    @property
    def story(self) -> str:
        """Which receivers the write would call, in which order and why."""
        return str(explain(self.model, self.operation, values=self.values or None))


@dataclass(frozen=True)
class Application:
    """An application: its package, its title, the name of its first page, what it shows, and what one does there."""

    name: str
    title: str
    page: str
    about: str
    shows: tuple[str, ...]
    actions: tuple[Action, ...]
    receivers: tuple[str, ...] = ("receivers.py",)

    @property
    def sources(self) -> list[Path]:
        """The files with its receivers and declarations."""
        return [Path(apps.get_app_config(self.name).path, name) for name in self.receivers]


APPLICATIONS = (
    Application(
        "onboarding",
        "Onboarding",
        "onboarding:activity",
        "Registration: a profile and preferences at once, a welcome by mail, groups that are always there.",
        ("ensure_related()", "seed()", "normalize()", "mail()", "user_logged_in", "m2m_changes"),
        (Action("a visitor registers", "auth.User", "create"),),
    ),
    Application(
        "store",
        "Orders",
        "orders",
        "A record shop with real purchases: stock, prices, confirmations, restocking by a wholesaler.",
        ("keep()", "ensure_related()", "Durable()", "BeforeCommit(batch=True)", "m2m_changes"),
        (
            Action("a CD is sold", "store.OrderItem", "create"),
            Action("an order is cancelled", "store.Order", "delete"),
        ),
        ("figures.py", "receivers.py"),
    ),
    Application(
        "blog",
        "Blog",
        "blog:posts",
        "Drafts that are published, found and counted, and announced to all followers, a hundred at a time.",
        ("transitions()", "stamp()", "unique_slug()", "search_index()", "keep_groups()", "Durable()"),
        (
            Action("an author writes a post", "blog.Post", "create"),
            Action("a draft is published", "blog.Post", "update", {"status": "published"}),
        ),
    ),
    Application(
        "comments",
        "Comments",
        "comments:latest",
        "Replies and mentions with mails, moderation, and counts that are right whatever is hidden or deleted.",
        ("keep()", "transitions()", "mail()", "pre_save", "bulk=True"),
        (
            Action("a reader comments a post", "comments.Comment", "create"),
            Action("a moderator hides a comment", "comments.Comment", "update", {"status": "hidden"}),
        ),
    ),
    Application(
        "analytics",
        "Analytics",
        "analytics:reports",
        "Nightly reports by a durable receiver, with webhooks; the revenue of days and customers, kept at each order.",
        ("keep_groups()", "webhook()", "Signal.define", 'Durable(key="day")', "request_finished"),
        (Action("a worker has made the report of a day", "analytics.Report", "create"),),
        ("figures.py", "receivers.py"),
    ),
    Application(
        "bookstore",
        "Bookstore",
        "bookstore:books",
        "Reviews and ratings, a stock that never goes below zero, one alert when it is low, points for buyers.",
        ("keep()", "reserve()", "protect()", "clean_up_files()", "mail()", "Signal.define", "m2m_changes"),
        (
            Action("a reader buys a book", "bookstore.Purchase", "create"),
            Action("a reader writes a review", "bookstore.Review", "create"),
            Action("a shopkeeper deletes a book", "bookstore.Book", "delete"),
        ),
    ),
    Application(
        "payments",
        "Payments",
        "payments:payments",
        "Cards that are charged once though an answer is lost, refused cards, and refunds, all with idempotency keys.",
        ("Durable(atomic=False)", "ThisDelivery", "Retry()", "Discard()", "Snooze()", "changed()"),
        (
            Action("a reader pays a purchase", "payments.Payment", "create"),
            Action("a purchase is cancelled", "bookstore.Purchase", "update", {"is_cancelled": True}),
        ),
    ),
    Application(
        "courses",
        "Courses",
        "courses:courses",
        "Lessons and progress; the last lesson sends a signal, after which a worker draws a certificate.",
        ("Signal.define", "BeforeCommit(batch=True)", "Durable()", "keep()", "stamp()", "clean_up_files()"),
        (
            Action("a student finishes a lesson", "courses.Completion", "create"),
            Action("a student leaves a course", "courses.Enrolment", "delete"),
        ),
    ),
)


def application(name: str) -> Application | None:
    """Return the application of a package."""
    return next((one for one in APPLICATIONS if one.name == name), None)
