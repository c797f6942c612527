"""The actions of the courses, each in one transaction."""

from collections.abc import Sequence

from django.contrib.auth.models import User
from django.db import transaction

from courses import pictures
from courses.models import Completion, Course, Enrolment, Lesson


def enrol(student: User, course: Course) -> Enrolment:
    """Let a student take a course, and return the enrolment, also if there is one already."""
    return Enrolment.objects.get_or_create(student=student, course=course)[0]


def finish(enrolment: Enrolment, lesson: Lesson) -> None:
    """Store that a student has finished a lesson; the second time this does nothing."""
    Completion.objects.get_or_create(enrolment=enrolment, lesson=lesson)


@transaction.atomic
def give(teacher: User, title: str, summary: str, lessons: Sequence[tuple[str, str]]) -> Course:
    """Create a course with its lessons, each a title and a text, and with a thumbnail."""
    course = Course.objects.create(teacher=teacher, title=title, summary=summary)
    draw(course)
    numbered = enumerate(lessons, start=1)
    Lesson.objects.bulk_create(Lesson(course=course, number=n, title=name, text=text) for n, (name, text) in numbered)
    return course


def draw(course: Course, design: int = 0) -> None:
    """Give a course another thumbnail; the file of the old one goes after the commit."""
    course.thumbnail = pictures.thumbnail(course, design)
    course.save(update_fields=["thumbnail"])
