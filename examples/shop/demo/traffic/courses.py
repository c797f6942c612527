"""Students who take courses, finish lessons and leave, and teachers."""

from random import Random

from courses import opening, services
from courses.models import Completion, Course, Enrolment
from demo.traffic.onboarding import person


def open_it(random: Random) -> None:
    """Open the school."""
    opening.open_school(person(random))


def enrol(random: Random) -> None:
    """A student takes a course, maybe for the second time."""
    services.enrol(person(random), random.choice(Course.objects.order_by("pk")))


def _enrolment(random: Random) -> Enrolment:
    return random.choice(Enrolment.objects.order_by("pk") or [services.enrol(person(random), Course.objects.first())])


def finish(random: Random) -> None:
    """A student finishes a lesson, maybe for the second time."""
    enrolment = _enrolment(random)
    services.finish(enrolment, random.choice(enrolment.course.lessons.all()))


def finish_all(random: Random) -> None:
    """A student finishes all lessons that are left, by one statement."""
    enrolment = _enrolment(random)
    left = enrolment.course.lessons.exclude(completions__enrolment=enrolment)
    Completion.objects.bulk_create(Completion(enrolment=enrolment, lesson=lesson) for lesson in left)


def leave(random: Random) -> None:
    """A student leaves a course."""
    _enrolment(random).delete()


def draw(random: Random) -> None:
    """A teacher gives a course another thumbnail."""
    services.draw(random.choice(Course.objects.order_by("pk")), random.randrange(100))


ACTIONS = (enrol, enrol, finish, finish, finish, finish_all, leave, draw)
