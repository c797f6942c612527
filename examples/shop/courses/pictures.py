"""The pictures of the courses: thumbnails and certificates, files of SVG."""

from django.core.files.base import ContentFile
from django.template.loader import render_to_string

from backoffice import covers
from courses.models import Course, Enrolment


def thumbnail(course: Course, design: int = 0) -> ContentFile:
    """Return a thumbnail of a course; each design is another one."""
    drawing = covers.draw(f"{course.title} {design}")
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 22 100 56" width="500" height="280">{drawing}</svg>'
    return ContentFile(svg.encode(), name=f"{course.slug or 'course'}.svg")


def certificate(enrolment: Enrolment) -> ContentFile:
    """Return the certificate of a student who has completed a course."""
    svg = render_to_string("courses/certificate.svg", {"enrolment": enrolment})
    return ContentFile(svg.encode(), name=f"certificate-{enrolment.pk}.svg")
