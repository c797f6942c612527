"""The blog: who can read what, who gets to know of it, and what is counted."""

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import transaction
from django.test import TestCase, TransactionTestCase
from heliograph.audit import history
from heliograph.outbox import Discarded, drain
from heliograph.recipes.search import search

from blog import services
from blog.models import AuthorStatistics, Follow, Notification, Post


class BlogTestCase(TestCase):
    @classmethod
    def setUpTestData(cls):
        cls.ada, cls.ben = (User.objects.create_user(name, f"{name}@example.com") for name in ("ada", "ben"))
        cls.post = Post.objects.create(author=cls.ada, title="On rivers", body="They know the way.")
        drain()

    def stored(self) -> Post:
        return Post.objects.get(pk=self.post.pk)


class PublishingTests(BlogTestCase):
    def test_a_post_is_a_draft_until_it_is_published(self):
        self.assertEqual((self.stored().status, self.stored().published_at), ("draft", None))
        services.publish(self.post)
        self.assertIsNotNone(self.stored().published_at)

    def test_drafts_that_a_query_publishes_have_a_time_too(self):
        Post.objects.update(status="published")
        self.assertIsNotNone(self.stored().published_at)

    def test_a_draft_is_not_withdrawn(self):
        with self.assertRaisesMessage(ValidationError, "cannot go from 'draft' to 'withdrawn'"):
            services.withdraw(self.post)

    def test_a_post_that_is_withdrawn_may_be_published_again(self):
        services.publish(self.post)
        services.withdraw(self.post)
        services.publish(self.post)
        self.assertTrue(self.stored().is_published)

    def test_posts_with_one_title_have_addresses_of_their_own(self):
        titles = ("On rivers", "New")
        slugs = [Post.objects.create(author=self.ben, title=title).slug for title in titles]
        self.assertEqual(slugs, ["on-rivers-2", "new-2"])

    def test_only_what_is_written_is_an_edit(self):
        first = self.stored().edited_at
        services.publish(self.post)
        self.assertEqual(self.stored().edited_at, first)
        Post.objects.update(body="They do not.")
        self.assertGreater(self.stored().edited_at, first)

    def test_the_history_of_a_post_has_each_move(self):
        services.publish(self.post)
        services.withdraw(self.post)
        moves = [entry.changes["status"].new for entry in history(self.post).changing("status").actions("updated")]
        self.assertEqual(moves, ["withdrawn", "published"])


class FollowerTests(BlogTestCase):
    def test_followers_are_notified_by_a_worker_a_hundred_at_a_time(self):
        readers = User.objects.bulk_create(User(username=f"reader{number}") for number in range(201))
        Follow.objects.bulk_create(Follow(follower=reader, author=self.ada) for reader in readers)
        services.publish(self.post)
        self.assertEqual(Notification.objects.count(), 0)
        drain()
        self.assertEqual(Notification.objects.filter(post=self.post).count(), 201)

    def test_a_follower_is_notified_once_however_often_a_post_is_published(self):
        services.follow(self.ben, self.ada)
        services.publish(self.post)
        drain()
        services.withdraw(self.post)
        services.publish(self.post)
        drain()
        self.assertEqual(Notification.objects.count(), 1)

    def test_nobody_is_notified_of_a_post_that_is_withdrawn_before_a_worker_comes(self):
        services.follow(self.ben, self.ada)
        services.publish(self.post)
        services.withdraw(self.post)
        self.assertTrue([outcome for outcome in drain() if isinstance(outcome, Discarded)])
        self.assertFalse(Notification.objects.exists())

    def test_nor_of_one_whose_publication_is_rolled_back(self):
        services.follow(self.ben, self.ada)
        with transaction.atomic():
            services.publish(self.post)
            transaction.set_rollback(True)
        drain()
        self.assertFalse(Notification.objects.exists())


class StatisticsTests(BlogTestCase):
    def of(self, author) -> tuple[int, int]:
        return AuthorStatistics.objects.values_list("posts", "published").get(author=author)

    def test_authors_know_how_much_they_have_written(self):
        Post.objects.create(author=self.ada, title="On bread")
        services.publish(self.post)
        self.assertEqual(self.of(self.ada), (2, 1))

    def test_a_post_that_another_author_takes_over_is_counted_there(self):
        Post.objects.update(author=self.ben, status="published")
        self.assertEqual((self.of(self.ada), self.of(self.ben)), ((0, 0), (1, 1)))


class SearchTests(TransactionTestCase):
    def setUp(self):
        self.post = Post.objects.create(author=User.objects.create_user("ada"), title="On rivers", body="They know.")

    def found(self, words) -> list[str]:
        drain()
        return [str(post) for post in search(Post, words)]

    def test_a_post_is_found_once_it_is_published_and_until_it_is_withdrawn(self):
        self.assertEqual(self.found("rivers"), [])
        services.publish(self.post)
        self.assertEqual(self.found("rivers know ada"), ["On rivers"])
        services.withdraw(self.post)
        self.assertEqual(self.found("rivers"), [])

    def test_a_post_is_found_by_its_new_title(self):
        services.publish(self.post)
        Post.objects.update(title="On bread")
        self.assertEqual((self.found("rivers"), self.found("bread")), ([], ["On bread"]))


class PageTests(BlogTestCase):
    def setUp(self):
        self.client.force_login(self.ada)

    def post_to(self, path, **data):
        return self.client.post(path, data, follow=True)

    def test_an_author_writes_publishes_and_deletes(self):
        page = self.post_to("/blog/new/", title="On bread", body="Slowly.")
        self.assertRedirects(page, "/blog/on-bread/")
        page = self.post_to("/blog/on-bread/move/", action="publish")
        self.assertContains(page, "announce")
        self.assertContains(page, "notify_followers")
        self.assertContains(self.client.get("/blog/"), "On bread")
        self.assertContains(self.post_to("/blog/on-bread/move/", action="delete"), "On bread is gone")

    def test_a_move_that_is_not_allowed_is_explained(self):
        page = self.post_to("/blog/on-rivers/move/", action="withdraw")
        self.assertContains(page, "cannot go from")

    def test_an_author_edits_a_post_and_nobody_else_does(self):
        self.assertContains(self.post_to("/blog/on-rivers/edit/", title="On seas", body="Deep."), "On seas")
        self.client.force_login(self.ben)
        for path in ("edit/", "move/"):
            with self.subTest(path):
                self.assertEqual(self.client.post(f"/blog/on-rivers/{path}", {"action": "delete"}).status_code, 404)

    def test_nobody_else_reads_a_draft(self):
        self.assertContains(self.client.get("/blog/on-rivers/"), "They know the way.")
        self.client.logout()
        self.assertEqual(self.client.get("/blog/on-rivers/").status_code, 404)

    def test_a_reader_follows_an_author_and_sees_what_is_new(self):
        self.client.force_login(self.ben)
        self.assertContains(self.post_to("/blog/by/ada/follow/", action="follow"), "Follow no longer")
        services.publish(self.post)
        drain()
        self.assertContains(self.client.get("/blog/"), "by ada")
        self.assertNotContains(self.post_to("/blog/by/ada/follow/", action="unfollow"), "Follow no longer")

    def test_a_visitor_searches(self):
        services.publish(self.post)
        drain()
        self.client.logout()
        self.assertContains(self.client.get("/blog/?q=rivers"), "1 post with")
        self.assertContains(self.client.get("/blog/?q=lamps"), "Nothing has these words.")
