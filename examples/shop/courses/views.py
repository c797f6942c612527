"""The pages of the courses: enrol, finish lessons, and teach."""

from random import randrange
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST
from django.views.generic import DetailView, ListView

from courses import services
from courses.forms import CourseForm
from courses.models import Course, Enrolment, Lesson
from onboarding.roles import TEACHERS, is_in, only


class CourseListView(ListView):
    """The courses, and how many take and have completed each."""

    template_name = "courses/courses.html"
    queryset = Course.objects.select_related("teacher")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Add whether the visitor may teach."""
        return super().get_context_data(teaches=is_in(self.request.user, TEACHERS), **kwargs)


class CourseView(DetailView):
    """A course, its lessons, and how far the visitor is."""

    template_name = "courses/course.html"
    queryset = Course.objects.select_related("teacher").prefetch_related("lessons")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Add the enrolment of the visitor, and the lessons that are done."""
        user = self.request.user
        enrolments = Enrolment.objects.filter(course=self.object).select_related("certificate")
        mine = enrolments.filter(student=user).first() if user.is_authenticated else None
        done = set(mine.completions.values_list("lesson", flat=True)) if mine else set()
        return super().get_context_data(enrolment=mine, done=done, teaches=self.object.teacher == user, **kwargs)


class LessonView(DetailView):
    """The text of a lesson."""

    template_name = "courses/lesson.html"
    queryset = Lesson.objects.select_related("course")

    def get_object(self, queryset: Any = None) -> Lesson:
        """Return the lesson of this number."""
        return get_object_or_404(self.get_queryset(), course__slug=self.kwargs["slug"], number=self.kwargs["number"])

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Add the enrolment of the visitor, and whether the lesson is done."""
        user = self.request.user
        mine = Enrolment.objects.filter(course=self.object.course, student=user).first() if user.pk else None
        done = mine is not None and mine.completions.filter(lesson=self.object).exists()
        return super().get_context_data(enrolment=mine, done=done, **kwargs)


@require_POST
@login_required
def enrol(request: HttpRequest, slug: str) -> HttpResponse:
    """Let the user take a course."""
    course = get_object_or_404(Course, slug=slug)
    services.enrol(request.user, course)
    messages.success(request, f"You take {course} now.")
    return redirect(course)


@require_POST
@login_required
def leave(request: HttpRequest, slug: str) -> HttpResponse:
    """Let the user leave a course: progress and certificate go."""
    Enrolment.objects.filter(course__slug=slug, student=request.user).delete()
    messages.success(request, "You have left the course.")
    return redirect("courses:course", slug)


@require_POST
@login_required
def finish(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    """Store that the user has finished a lesson."""
    lesson = get_object_or_404(Lesson, course__slug=slug, number=number)
    enrolment = get_object_or_404(Enrolment, course=lesson.course, student=request.user)
    services.finish(enrolment, lesson)
    enrolment.refresh_from_db()
    if enrolment.is_completed:
        messages.success(request, "You have completed the course! A worker draws your certificate.")
    return redirect(lesson.course)


@only(TEACHERS)
def give(request: HttpRequest) -> HttpResponse:
    """Create a course."""
    form = CourseForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        return redirect(services.give(request.user, **form.cleaned_data))
    return render(request, "courses/give.html", {"form": form})


@require_POST
@login_required
def draw(request: HttpRequest, slug: str) -> HttpResponse:
    """Give a course of the user another thumbnail."""
    course = get_object_or_404(Course, slug=slug, teacher=request.user)
    services.draw(course, randrange(10_000))
    return redirect(course)
