"""The signals that the courses declare."""

from heliograph import Signal

from courses.models import Enrolment


@Signal.define
def course_completed(sender, *, enrolment: Enrolment) -> None:
    """A student has finished the last lesson of a course; it is sent once for an enrolment."""
