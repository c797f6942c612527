"""The command that counts what each application has promised."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from demo.promises import analytics, blog, bookstore, comments, courses, onboarding, payments
from demo.promises.promise import count

AGAIN = (
    "A mail is counted by its Message-ID: mail() sends it again, with the same one, if a worker is killed\n"
    "between the mail and its record."
)

APPLICATIONS = (onboarding, bookstore, payments, courses, blog, comments, analytics)


class Command(BaseCommand):
    """Counts by SQL of its own what each application has promised, and what is not as promised."""

    help = "Count what each application has promised, by SQL that knows nothing of the models."

    def handle(self, **options: Any) -> None:
        """Print a line for each promise; end with an error if one is broken."""
        counted = [count(promise) for application in APPLICATIONS for promise in application.PROMISES]
        width = max(len(kept.promise.text) for kept in counted)
        self.stdout.write(f"{'application':12} {'promise':{width}} {'rows':>7} {'differences':>12}")
        for kept in counted:
            promise = kept.promise
            self.stdout.write(f"{promise.application:12} {promise.text:{width}} {kept.rows:7,} {kept.differences:12,}")
        self.stdout.write(AGAIN)
        if broken := sum(kept.differences > 0 for kept in counted):
            raise CommandError(f"{broken} of {len(counted)} promises are broken.")
