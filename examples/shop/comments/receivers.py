"""How comments are counted, held back, and made known to whom they concern."""

import re
from typing import Any

from django.contrib.auth.models import User
from django.db.models import Count, Q
from heliograph import changed, created, has, raw, receiver
from heliograph.audit import audit
from heliograph.recipes import keep, mail, transitions
from heliograph.signals import post_save, pre_save

from blog.models import Post
from comments.models import Comment, Mention

MOVES = {"waiting": {"shown", "hidden"}, "shown": {"hidden"}, "hidden": {"shown"}}
SHOWN = (created & has(status="shown")) | changed("status", to="shown")


def author_of_parent(comment: Comment) -> str | None:
    """Return the address of the author to whom a comment replies; nobody gets a mail about a reply of their own."""
    parent = comment.parent
    return parent.author.email if parent and parent.author_id != comment.author_id else None


def person_who_wants_mails(mention: Mention) -> str | None:
    """Return the address of the person who is mentioned, if that is wanted."""
    return mention.person.email if mention.person.preferences.mails_of_mentions else None


KEPT = [
    keep(Post, comments_shown=Count("comments", filter=Q(comments__status="shown"))),
    keep(Comment, replies_shown=Count("replies", filter=Q(replies__status="shown"))),
    transitions(Comment, "status", MOVES, initial={"shown", "waiting"}),
    mail(Comment, when=SHOWN, to=author_of_parent, template="comments/reply"),
    mail(Mention, when=created, to=person_who_wants_mails, template="comments/mention"),
    audit(Comment),
]


@receiver(pre_save, sender=Comment, when=created & ~raw, writes=["status"], bulk=True)
def hold_links_back(sender: type[Comment], instance: Comment, **kwargs: Any) -> None:
    """Let a comment with a link wait for a moderator."""
    if "://" in instance.body:
        instance.status = Comment.Status.WAITING


@receiver(post_save, sender=Comment, when=(SHOWN | changed("body")) & has(status="shown") & ~raw, bulk=True)
def mention(sender: type[Comment], instance: Comment, **kwargs: Any) -> None:
    """Store whom a comment names, once others can read it."""
    names = re.findall(r"@(\w+)", instance.body)
    people = User.objects.filter(username__in=names).exclude(pk=instance.author_id)
    Mention.objects.filter(comment=instance).exclude(person__in=people).delete()
    Mention.objects.bulk_create([Mention(comment=instance, person=one) for one in people], ignore_conflicts=True)
