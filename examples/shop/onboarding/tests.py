"""Onboarding: what each new user has, and what is written down."""

from django.contrib.auth.models import Group, User
from django.core import mail
from django.core.management import call_command
from django.db import transaction
from django.test import TestCase, TransactionTestCase, override_settings
from heliograph.audit import history
from heliograph.outbox import drain

from onboarding.models import Activity, Preferences, Profile
from pages.testing import after_looking

PASSWORD = "a long one, 4 words"
FORM = {"username": "ada", "email": "Ada@Example.com", "password1": PASSWORD, "password2": PASSWORD}


class UserTests(TestCase):
    def test_a_user_has_a_profile_and_preferences_at_once(self):
        ada = User.objects.create_user("ada", first_name="Ada", last_name="Winter")
        self.assertEqual((ada.profile.name, ada.preferences.newsletter), ("Ada Winter", False))

    def test_so_has_each_of_many_that_are_created_together(self):
        User.objects.bulk_create(User(username=name) for name in ("ada", "ben", "clara"))
        self.assertEqual((Profile.objects.count(), Preferences.objects.count()), (3, 3))
        self.assertEqual(Activity.objects.filter(text="registered").count(), 3)

    def test_addresses_are_stored_in_small_letters_however_they_are_written(self):
        User.objects.create(username="ada", email=" Ada@Example.com")
        User.objects.update(email="ADA@Example.com")
        self.assertEqual(User.objects.get().email, "ada@example.com")

    def test_a_user_is_welcomed_by_a_worker_once(self):
        User.objects.create_user("ada", "ada@example.com")
        self.assertEqual(mail.outbox, [])
        drain()
        drain()
        self.assertEqual(
            [(letter.subject, letter.to) for letter in mail.outbox], [("Welcome, ada", ["ada@example.com"])]
        )

    def test_a_registration_that_is_rolled_back_leaves_nothing(self):
        with transaction.atomic():
            User.objects.create_user("ada", "ada@example.com")
            transaction.set_rollback(True)
        drain()
        self.assertEqual((Profile.objects.count(), Activity.objects.count(), mail.outbox), (0, 0, []))

    def test_the_log_says_what_of_a_profile_has_changed(self):
        ada = User.objects.create_user("ada")
        ada.profile.about = "I like rivers."
        ada.profile.save()
        ada.profile.save()
        self.assertEqual([str(one) for one in ada.activities.all()], ["changed about", "registered"])

    def test_and_which_groups_a_user_has_joined(self):
        ada = User.objects.create_user("ada")
        ada.groups.add(*Group.objects.all())
        joined = Activity.objects.filter(text__startswith="joined").values_list("text", flat=True)
        self.assertEqual(sorted(joined), ["joined the moderators", "joined the shopkeepers", "joined the teachers"])

    def test_the_audit_log_has_the_history_of_a_profile_and_of_preferences(self):
        ada = User.objects.create_user("ada")
        Profile.objects.update(about="I like rivers.")
        Preferences.objects.update(newsletter=True)
        for row in (ada.profile, ada.preferences):
            with self.subTest(row):
                self.assertEqual([entry.action for entry in history(row)], ["updated", "created"])


class SeedTests(TransactionTestCase):
    def test_the_groups_are_there_after_migrate_also_if_somebody_has_deleted_one(self):
        Group.objects.filter(name="Teachers").delete()
        call_command("migrate", verbosity=0)
        self.assertEqual(set(Group.objects.values_list("name", flat=True)), {"Shopkeepers", "Teachers", "Moderators"})


@override_settings(PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"])  # fast, for tests
class PageTests(TestCase):
    def register(self, **data):
        return self.client.post("/people/register/", FORM | data, follow=True)

    def test_a_visitor_registers_and_sees_what_that_has_caused(self):
        teachers = Group.objects.get(name="Teachers")
        page = self.register(groups=[teachers.pk], action="register")
        self.assertRedirects(page, "/people/me/")
        self.assertContains(page, "Welcome, ada!")
        self.assertContains(page, "ensure_related")
        self.assertContains(page, "joined the teachers")

    def test_two_passwords_that_differ_register_nobody(self):
        self.assertContains(self.register(password2="another"), "match.")
        self.assertFalse(User.objects.exists())

    def test_a_double_click_registers_one_user_who_is_signed_in(self):
        with after_looking("auth_user", lambda: User.objects.create_user("ada", "ada@example.com", PASSWORD), looks=2):
            self.assertContains(self.register(), "Welcome, ada!")
        self.client.logout()
        self.assertRedirects(self.register(), "/people/me/")
        self.assertEqual(User.objects.count(), 1)

    def test_somebody_elses_name_is_refused(self):
        with after_looking("auth_user", lambda: User.objects.create_user("ada", password="another"), looks=2):
            self.assertContains(self.register(), "Somebody has taken this name just now.")

    def test_a_user_changes_the_profile(self):
        self.register()
        page = self.client.post("/people/me/", {"name": "Ada Winter", "about": "Rivers."}, follow=True)
        self.assertContains(page, "Your profile is stored.")
        self.assertContains(self.client.post("/people/me/", {"name": ""}), "This field is required.")
        self.assertEqual(
            (Profile.objects.get().name, Preferences.objects.get().mails_of_mentions), ("Ada Winter", False)
        )

    def test_a_user_leaves_and_comes_back(self):
        self.register()
        self.client.post("/people/leave/")
        self.client.post("/people/enter/", {"username": "ada", "password": PASSWORD})
        self.assertContains(self.client.get("/people/"), "signed in")

    def test_a_user_reads_mails(self):
        self.register()
        self.assertContains(self.client.get("/applications/mails/"), "No mail yet")
