"""Courses with lessons, who takes them, and how far everybody is."""

from django.conf import settings
from django.db import models
from django.urls import reverse


class Course(models.Model):
    """A course of several lessons."""

    title = models.CharField(max_length=100)
    slug = models.SlugField(max_length=100, unique=True, editable=False)
    teacher = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="courses_taught")
    summary = models.TextField()
    thumbnail = models.FileField(upload_to="thumbnails", blank=True)
    lessons_given = models.IntegerField(default=0, editable=False)
    students = models.IntegerField(default=0, editable=False)
    graduates = models.IntegerField(default=0, editable=False)

    class Meta:
        ordering = ["title"]

    def __str__(self) -> str:
        return self.title

    def get_absolute_url(self) -> str:
        """Return the address of the course's page."""
        return reverse("courses:course", args=[self.slug])


class Lesson(models.Model):
    """A part of a course."""

    course = models.ForeignKey(Course, on_delete=models.CASCADE, related_name="lessons")
    number = models.PositiveSmallIntegerField()
    title = models.CharField(max_length=100)
    text = models.TextField(blank=True)

    class Meta:
        ordering = ["course", "number"]
        constraints = [models.UniqueConstraint(fields=["course", "number"], name="one_lesson_of_a_number")]

    def __str__(self) -> str:
        return f"{self.number}. {self.title}"


class Enrolment(models.Model):
    """A student who takes a course."""

    course = models.ForeignKey(Course, on_delete=models.CASCADE, related_name="enrolments")
    student = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="enrolments")
    enrolled_at = models.DateTimeField(auto_now_add=True)
    lessons_done = models.IntegerField(default=0, editable=False)
    is_completed = models.BooleanField(default=False, editable=False)
    completed_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["course", "student"], name="one_enrolment_of_a_student")]

    def __str__(self) -> str:
        return f"{self.student} in {self.course}"


class Completion(models.Model):
    """A lesson that a student has finished."""

    enrolment = models.ForeignKey(Enrolment, on_delete=models.CASCADE, related_name="completions")
    lesson = models.ForeignKey(Lesson, on_delete=models.CASCADE, related_name="completions")
    finished_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["enrolment", "lesson"], name="one_completion_of_a_lesson")]

    def __str__(self) -> str:
        return f"{self.enrolment}: {self.lesson}"


class Certificate(models.Model):
    """The certificate of a student who has completed a course: a file of SVG."""

    enrolment = models.OneToOneField(Enrolment, on_delete=models.CASCADE, related_name="certificate")
    file = models.FileField(upload_to="certificates")
    issued_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"Certificate of {self.enrolment}"
