"""The courses: how far students are, and what they get in the end."""

from django.contrib.auth.models import Group, User
from django.core import mail
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import transaction
from django.test import TestCase, TransactionTestCase
from heliograph.audit import history
from heliograph.outbox import drain
from heliograph.testing import SignalTests

from courses import services
from courses.models import Certificate, Completion, Course, Enrolment
from courses.signals import course_completed
from pages.testing import FilesInMemory

LESSONS = [("High clouds", "..."), ("The wind turns", "...")]


class CoursesMixin(FilesInMemory):
    """A teacher, a student, and a course of two lessons."""

    def setUp(self):
        super().setUp()
        self.teacher = User.objects.create_user("clara", "clara@example.com")
        self.ada = User.objects.create_user("ada", "ada@example.com")
        self.course = services.give(self.teacher, "Reading the Sky", "What clouds say.", LESSONS)
        drain()
        mail.outbox.clear()

    def complete(self, student) -> Enrolment:
        enrolment = services.enrol(student, self.course)
        for lesson in self.course.lessons.all():
            services.finish(enrolment, lesson)
        enrolment.refresh_from_db()
        return enrolment

    def counts(self) -> tuple[int, int, int]:
        course = Course.objects.get(pk=self.course.pk)
        return course.lessons_given, course.students, course.graduates

    def files(self, folder) -> list[str]:
        drain()
        return default_storage.listdir(folder)[1] if default_storage.exists(folder) else []


class ProgressTests(CoursesMixin, SignalTests, TestCase):
    def test_a_course_knows_its_lessons_students_and_graduates(self):
        services.enrol(self.teacher, self.course)
        self.complete(self.ada)
        self.assertEqual(self.counts(), (2, 2, 1))

    def test_a_student_who_is_deleted_counts_no_more(self):
        self.complete(self.ada)
        self.ada.delete()
        self.assertEqual(self.counts(), (2, 0, 0))

    def test_progress_is_the_number_of_lessons_that_are_done(self):
        enrolment = services.enrol(self.ada, self.course)
        services.finish(enrolment, self.course.lessons.first())
        services.finish(enrolment, self.course.lessons.first())
        enrolment.refresh_from_db()
        self.assertEqual((enrolment.lessons_done, enrolment.is_completed, enrolment.completed_at), (1, False, None))

    def test_the_last_lesson_completes_the_course_and_says_when(self):
        enrolment = self.complete(self.ada)
        self.assertEqual((enrolment.lessons_done, enrolment.is_completed), (2, True))
        self.assertIsNotNone(enrolment.completed_at)

    def test_the_signal_is_sent_once_also_if_all_lessons_are_finished_by_one_statement(self):
        enrolment = services.enrol(self.ada, self.course)
        done = [Completion(enrolment=enrolment, lesson=lesson) for lesson in self.course.lessons.all()]
        Completion.objects.bulk_create(done)
        services.finish(enrolment, self.course.lessons.first())
        self.signals.assert_sent(course_completed, times=1)

    def test_the_history_of_an_enrolment_says_when_it_was_completed(self):
        completed = history(self.complete(self.ada)).changing("is_completed").actions("updated")
        self.assertEqual(completed.count(), 1)


class CertificateTests(CoursesMixin, TestCase):
    def test_a_worker_draws_the_certificate_and_writes_to_the_student(self):
        enrolment = self.complete(self.ada)
        self.assertFalse(Certificate.objects.exists())
        drain()
        text = Certificate.objects.get(enrolment=enrolment).file.open().read().decode()
        self.assertTrue(text.startswith("<svg"))
        self.assertIn(">ada</text>", text)
        self.assertIn("Reading the Sky", text)
        drain()
        self.assertEqual([letter.subject for letter in mail.outbox], ["Your certificate: Reading the Sky"])

    def test_the_file_that_a_killed_worker_has_left_is_written_again(self):
        enrolment = self.complete(self.ada)
        left = default_storage.save(f"certificates/certificate-{enrolment.pk}.svg", ContentFile(b"half"))
        drain()
        self.assertEqual(Certificate.objects.get().file.name, left)
        self.assertEqual(len(default_storage.listdir("certificates")[1]), 1)

    def test_a_name_cannot_break_the_drawing(self):
        type(self.ada.profile).objects.filter(user=self.ada).update(name="<script>&")
        self.complete(self.ada)
        drain()
        self.assertIn("&lt;script&gt;&amp;", Certificate.objects.get().file.open().read().decode())

    def test_a_course_whose_completion_is_rolled_back_has_none(self):
        enrolment = services.enrol(self.ada, self.course)
        with transaction.atomic():
            for lesson in self.course.lessons.all():
                services.finish(enrolment, lesson)
            transaction.set_rollback(True)
        self.assertEqual((drain(), self.counts(), mail.outbox), ([], (2, 1, 0), []))

    def test_the_audit_log_knows_the_course_and_the_certificate(self):
        self.complete(self.ada)
        drain()
        for row in (self.course, Certificate.objects.get()):
            with self.subTest(row):
                self.assertEqual(history(row).actions("created").count(), 1)


class FileTests(CoursesMixin, TransactionTestCase):
    def test_a_thumbnail_that_is_replaced_goes(self):
        services.draw(self.course, 1)
        self.assertEqual([f"thumbnails/{name}" for name in self.files("thumbnails")], [self.course.thumbnail.name])

    def test_the_certificate_of_a_student_who_leaves_goes(self):
        enrolment = self.complete(self.ada)
        drain()
        self.assertEqual(len(self.files("certificates")), 1)
        enrolment.delete()
        self.assertEqual(self.files("certificates"), [])


class PageTests(CoursesMixin, TestCase):
    def setUp(self):
        super().setUp()
        self.client.force_login(self.ada)
        self.address = self.course.get_absolute_url()

    def post(self, path, **data):
        return self.client.post(f"{self.address}{path}", data, follow=True)

    def test_a_student_takes_a_course_finishes_it_and_gets_a_certificate(self):
        self.assertContains(self.post("enrol/"), "You take Reading the Sky now.")
        self.assertContains(self.post("1/finish/"), "1 of 2 lessons")
        page = self.post("2/finish/", action="finish a lesson")
        self.assertContains(page, "You have completed the course!")
        self.assertContains(page, "issue_certificate")
        drain()
        self.assertContains(self.client.get(self.address), "certificates/certificate-")

    def test_a_student_leaves_a_course(self):
        self.post("enrol/")
        self.assertContains(self.post("leave/"), "You have left the course.")

    def test_nobody_finishes_a_lesson_without_taking_the_course(self):
        self.assertEqual(self.post("1/finish/").status_code, 404)

    def test_only_a_teacher_gives_a_course(self):
        data = {"title": "Tides", "summary": "Why they come.", "lessons": "The moon\n\n The sun "}
        self.client.post("/courses/give/", data)
        self.assertFalse(Course.objects.filter(title="Tides").exists())
        self.ada.groups.add(Group.objects.get(name="Teachers"))
        self.assertContains(self.client.post("/courses/give/", data, follow=True), "2. The sun")

    def test_only_the_teacher_of_a_course_draws_its_thumbnail(self):
        self.assertEqual(self.post("draw/").status_code, 404)
        self.client.force_login(self.teacher)
        self.assertEqual(self.post("draw/").status_code, 200)

    def test_every_page_answers_also_to_a_visitor(self):
        self.client.logout()
        for address in ("/courses/", self.address, f"{self.address}1/"):
            with self.subTest(address):
                self.assertEqual(self.client.get(address).status_code, 200)
