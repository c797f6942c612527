"""How far students are, and what happens when they have finished a course."""

from typing import Any

from django.core.files.storage import default_storage
from django.db.models import Count, Exists, OuterRef, Q
from heliograph import Batch, BeforeCommit, Durable, changed, created, raw, receiver
from heliograph.audit import audit
from heliograph.recipes import clean_up_files, keep, mail, stamp, unique_slug
from heliograph.signals import post_save

from courses import pictures
from courses.models import Certificate, Completion, Course, Enrolment, Lesson
from courses.signals import course_completed
from store.locks import lock

GRADUATES = Count("enrolments", filter=Q(enrolments__is_completed=True))

KEPT = [
    unique_slug(Course, "slug", source="title"),
    keep(Course, lessons_given=Count("lessons"), students=Count("enrolments"), graduates=GRADUATES),
    keep(Enrolment, lessons_done=Count("completions")),
    stamp(Enrolment, "completed_at", when=changed("is_completed", to=True)),
    clean_up_files(Course, "thumbnail"),
    clean_up_files(Certificate, "file"),
    mail(Certificate, when=created, to="enrolment.student.email", template="courses/certificate"),
    *map(audit, (Course, Enrolment, Certificate)),
]


@receiver(post_save, sender=Completion, when=created & ~raw, bulk=True, delivery=BeforeCommit(batch=True))
def complete_enrolments(sender: type[Completion], batch: Batch, **kwargs: Any) -> None:
    """Complete the enrolments that have no lesson left, each of them once.

    Two lessons of a student that are finished at the same time do not see each other, so the enrolment is locked first.
    """
    touched = {completion.enrolment_id for completion in batch.created}
    enrolments = Enrolment.objects.filter(pk__in=touched, is_completed=False)
    lock(enrolments)
    left = Lesson.objects.filter(course=OuterRef("course")).exclude(completions__enrolment=OuterRef("pk"))
    for enrolment in enrolments.filter(~Exists(left)):
        enrolment.is_completed = True
        enrolment.save(update_fields=["is_completed"])
        course_completed.send(sender=Enrolment, enrolment=enrolment)


@receiver(course_completed, delivery=Durable())
def issue_certificate(sender: type[Enrolment], enrolment: Enrolment, **kwargs: Any) -> None:
    """Draw the certificate and store it, in a worker; the mail with its address follows from the row."""
    picture = pictures.certificate(enrolment)
    # A worker that was killed in an earlier attempt may have left the file: no rollback takes a file back.
    default_storage.delete(f"certificates/{picture.name}")
    Certificate.objects.create(enrolment=enrolment, file=picture)
