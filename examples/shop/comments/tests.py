"""The comments: what is counted, who gets to know of them, and what moderators do."""

from django.contrib.auth.models import Group, User
from django.core import mail
from django.core.exceptions import ValidationError
from django.db import transaction
from django.test import TestCase
from heliograph.audit import history
from heliograph.outbox import drain

from blog import services
from blog.models import AuthorStatistics, Post
from comments.models import Comment, Mention

LINK = "Look: ftp://nowhere"


class CommentsTestCase(TestCase):
    @classmethod
    def setUpTestData(cls):
        names = ("ada", "ben", "clara")
        cls.ada, cls.ben, cls.clara = (User.objects.create_user(name, f"{name}@example.com") for name in names)
        cls.post = Post.objects.create(author=cls.ada, title="On rivers", body="They know the way.")
        services.publish(cls.post)
        drain()
        mail.outbox.clear()

    def say(self, author, body="So do I.", parent=None) -> Comment:
        return Comment.objects.create(post=self.post, author=author, body=body, parent=parent)

    def shown(self) -> int:
        return Post.objects.get(pk=self.post.pk).comments_shown

    def sent(self) -> list[tuple[str, str]]:
        drain()
        return sorted((letter.to[0], letter.subject) for letter in mail.outbox)


class CountTests(CommentsTestCase):
    def test_a_post_knows_how_many_comments_are_shown(self):
        self.say(self.ben)
        self.say(self.ben, LINK)
        self.assertEqual(self.shown(), 1)

    def test_so_does_its_author(self):
        self.say(self.ben)
        self.assertEqual(AuthorStatistics.objects.get(author=self.ada).comments, 1)

    def test_replies_go_with_a_comment_that_is_deleted(self):
        first = self.say(self.ben)
        self.say(self.clara, parent=self.say(self.ada, parent=first))
        self.assertEqual((self.shown(), Comment.objects.get(pk=first.pk).replies_shown), (3, 1))
        first.delete()
        self.assertEqual((self.shown(), Comment.objects.count()), (0, 0))

    def test_and_all_comments_with_their_post(self):
        self.say(self.clara, parent=self.say(self.ben))
        self.post.delete()
        self.assertEqual((Comment.objects.count(), AuthorStatistics.objects.get(author=self.ada).comments), (0, 0))

    def test_comments_that_are_written_together_are_counted_and_held_back_like_others(self):
        Comment.objects.bulk_create(
            Comment(post=self.post, author=self.ben, body=body) for body in ("Yes.", "No.", LINK)
        )
        self.assertEqual((self.shown(), Comment.objects.filter(status="waiting").count()), (2, 1))

    def test_a_comment_that_is_rolled_back_counts_for_nothing(self):
        with transaction.atomic():
            self.say(self.ben, "@clara")
            transaction.set_rollback(True)
        self.assertEqual((self.shown(), self.sent()), (0, []))


class ModerationTests(CommentsTestCase):
    def test_a_comment_with_a_link_waits_and_mentions_nobody_until_it_is_shown(self):
        waiting = self.say(self.ben, f"@clara {LINK}")
        self.assertEqual((self.shown(), self.sent(), Mention.objects.count()), (0, [], 0))
        Comment.objects.filter(pk=waiting.pk).update(status="shown")
        self.assertEqual(self.shown(), 1)
        self.assertEqual(self.sent(), [("clara@example.com", "ben has mentioned you on On rivers")])

    def test_a_comment_that_is_hidden_counts_no_more(self):
        comment = self.say(self.ben)
        comment.status = "hidden"
        comment.save()
        self.assertEqual(self.shown(), 0)

    def test_no_comment_waits_again(self):
        self.say(self.ben)
        with self.assertRaisesMessage(ValidationError, "cannot go from 'shown' to 'waiting'"), transaction.atomic():
            Comment.objects.update(status="waiting")

    def test_the_history_says_who_has_hidden_a_comment(self):
        comment = self.say(self.ben)
        Comment.objects.update(status="hidden")
        self.assertEqual(history(comment).changing("status").actions("updated").count(), 1)


class MailTests(CommentsTestCase):
    def test_whoever_is_mentioned_gets_one_mail(self):
        comment = self.say(self.ben, "@clara and @clara and @ben and @nobody")
        comment.save()
        self.assertEqual(self.sent(), [("clara@example.com", "ben has mentioned you on On rivers")])

    def test_unless_the_person_wants_none(self):
        self.clara.preferences.mails_of_mentions = False
        self.clara.preferences.save()
        self.say(self.ben, "@clara")
        self.assertEqual((self.sent(), Mention.objects.count()), ([], 1))

    def test_a_comment_that_mentions_somebody_else_in_the_end_mentions_nobody_before(self):
        comment = self.say(self.ben, "@clara")
        comment.body = "@ada"
        comment.save()
        self.assertEqual([mention.person for mention in Mention.objects.all()], [self.ada])

    def test_an_author_gets_a_mail_about_each_reply_but_those_of_their_own(self):
        first = self.say(self.ben)
        self.say(self.clara, parent=first)
        self.say(self.ben, parent=first)
        self.assertEqual(self.sent(), [("ben@example.com", "clara has replied to you on On rivers")])


class PageTests(CommentsTestCase):
    def setUp(self):
        self.client.force_login(self.ben)

    def send(self, path="on/on-rivers/", **data):
        return self.client.post(f"/comments/{path}", data, follow=True)

    def test_a_reader_comments_and_replies(self):
        self.assertContains(self.send(body="So do I."), "1 comment<")
        page = self.send(body="Really?", parent=Comment.objects.get().pk, action="reply")
        self.assertContains(page, "1 reply")
        self.assertContains(page, "comments<wbr>.receivers<wbr>.mention")

    def test_an_empty_comment_and_one_with_a_link_are_explained(self):
        self.assertContains(self.send(body=" "), "A comment says something.")
        self.assertContains(self.send(body=LINK), "a moderator looks at it first")

    def test_a_reader_deletes_only_their_own(self):
        mine, other = self.say(self.ben), self.say(self.clara)
        self.send(f"{mine.pk}/delete/")
        self.assertEqual(self.send(f"{other.pk}/delete/").status_code, 404)
        self.assertEqual(Comment.objects.get(), other)

    def test_a_moderator_shows_and_hides(self):
        waiting = self.say(self.clara, LINK)
        self.ben.groups.add(Group.objects.get(name="Moderators"))
        self.assertContains(self.client.get("/comments/"), "waiting for a moderator")
        self.send(f"{waiting.pk}/moderate/", action="show")
        self.assertEqual(self.shown(), 1)
        self.send(f"{waiting.pk}/moderate/", action="hide")
        self.assertEqual(self.shown(), 0)

    def test_nobody_else_moderates_or_reads_what_waits(self):
        waiting = self.say(self.clara, LINK)
        self.assertContains(self.send(f"{waiting.pk}/moderate/", action="show"), "who may not see that page")
        self.assertEqual(self.shown(), 0)
        self.assertNotContains(self.client.get("/comments/"), "nowhere")

    def test_a_hidden_comment_keeps_its_place_as_long_as_others_reply(self):
        first = self.say(self.clara, "Nonsense.")
        self.say(self.ben, "Why?", parent=first)
        Comment.objects.filter(pk=first.pk).update(status="hidden")
        page = self.client.get("/blog/on-rivers/")
        self.assertContains(page, "A moderator has hidden this comment.")
        self.assertNotContains(page, "Nonsense.")
