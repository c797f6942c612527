"""The change page of the admin explains a save or a deletion, and changes nothing."""

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission, User
from django.contrib.contenttypes.models import ContentType
from django.core import mail
from django.core.mail import send_mail
from django.urls import reverse

from heliograph import Durable, OnCommit, changed
from heliograph.context import current
from heliograph.flow.explain_admin import ExplainAdminMixin
from heliograph.outbox.models import Delivery
from heliograph.signals import post_delete, post_save
from tests.app.models import Article, Writer
from tests.helpers.explained_admin import SITE, ArticleAdmin

pytestmark = [
    pytest.mark.django_db(transaction=True, databases=["default", "other"]),
    pytest.mark.urls("tests.helpers.explained_admin"),
]


@pytest.fixture
def article():
    return Article.objects.create(title="Tea", words=1)


@pytest.fixture
def root(client):
    client.force_login(User.objects.create_superuser("root"))
    return client


def of_change(article):
    return reverse("admin:app_article_change", args=[article.pk])


def of_explain(article):
    return reverse("admin:app_article_explain", args=[article.pk])


def text(response):
    return str(response.context.get("text"))


def explain_save(client, article, **values):
    """Press the button of the change page, with these values in its form."""
    return client.post(of_explain(article), {"title": "Tea", "words": 1, "_explain": "1", **values})


def record(**kwargs):
    """Receive."""


def with_permissions(client, *codenames):
    """Log in a user of the staff who has these permissions for articles, of which one may be made for it."""
    user, of_articles = User.objects.create_user("ada", is_staff=True), ContentType.objects.get_for_model(Article)
    for codename in codenames:
        made, _ = Permission.objects.get_or_create(content_type=of_articles, codename=codename)
        user.user_permissions.add(made)
    client.force_login(user)


# --- what it says -------------------------------------------------------------------------------------------------


def test_the_change_page_has_a_button_that_sends_its_form(root, article):
    page = root.get(of_change(article)).content.decode()
    assert f'formaction="{of_explain(article)}"' in page


def test_the_page_says_who_would_be_asked_and_runs_nothing(root, article, listen):
    received = listen(post_save, sender=Article)
    page = root.get(of_explain(article))
    assert "app.Article update" in text(page)
    assert "Nothing was run" in page.content.decode()
    assert received == []


def test_a_save_is_explained_with_the_values_of_the_form(root, article, connect):
    connect(post_save, record, sender=Article, when=changed("words", to=7))
    page = explain_save(root, article, words=7)
    assert "words 1 -> 7" in text(page)
    assert "record" in text(page)
    assert "with other values of words" in page.content.decode()


def test_a_receiver_that_would_not_be_called_says_why(root, article, connect):
    connect(post_save, record, sender=Article, when=changed("words", to=7))
    assert "not called" in text(explain_save(root, article, words=8))


def test_a_deletion_is_explained(root, article, listen):
    listen(post_delete, sender=Article)
    page = root.post(of_explain(article), {"delete": "1"})
    assert "app.Article delete" in text(page)
    assert Article.objects.filter(pk=article.pk).exists()


def test_the_write_is_made_by_the_user(root, article, connect):
    actors = []
    connect(post_save, lambda **kwargs: actors.append(current().actor.label), sender=Article, weak=False)
    explain_save(root, article)
    assert actors == ["root"]


def test_values_that_cannot_be_saved_are_refused_like_in_the_form(root, article):
    page = explain_save(root, article, words="many")
    assert "These values cannot be saved." in page.content.decode()
    assert "text" not in page.context


# --- what stays ---------------------------------------------------------------------------------------------------


def test_nothing_of_it_stays(root, article, connect):
    def send(instance, **kwargs):
        send_mail("x", "y", "a@example.org", ["b@example.org"])
        Article.objects.create(title="another")

    committed = []
    connect(post_save, send, sender=Article, when=changed("words"))
    connect(post_save, record, sender=Article, when=changed("words"), delivery=Durable())
    connect(post_save, lambda **kwargs: committed.append(1), sender=Article, delivery=OnCommit(), weak=False)
    page = explain_save(root, article, words=7)
    assert "mail 'x'" in text(page)
    assert [(one.title, one.words) for one in Article.objects.all()] == [("Tea", 1)]
    assert (mail.outbox, committed, Delivery.objects.count()) == ([], [], 0)


def test_a_request_that_is_one_transaction_by_the_settings_is_none_here(root, article, settings):
    settings.DATABASES["default"]["ATOMIC_REQUESTS"] = True
    try:
        assert explain_save(root, article, words=7).status_code == 200
    finally:
        settings.DATABASES["default"]["ATOMIC_REQUESTS"] = False


# --- who may ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("permissions", "operation", "status"),
    [
        (["change_article"], "save", 403),
        (["explain_article"], "save", 403),
        (["explain_article", "view_article"], "save", 403),
        (["explain_article", "change_article"], "save", 200),
        (["explain_article", "change_article"], "delete", 403),
        (["explain_article", "change_article", "delete_article"], "delete", 200),
    ],
)
def test_it_needs_its_permission_and_the_one_for_what_it_does(client, article, permissions, operation, status):
    with_permissions(client, *permissions)
    assert client.post(of_explain(article), {operation: "1"}).status_code == status


def test_who_lacks_the_permission_has_no_button(client, article):
    with_permissions(client, "change_article")
    assert "formaction" not in client.get(of_change(article)).content.decode()


def test_an_object_that_is_gone_leads_back_to_the_site(root, article):
    address = of_explain(article)
    article.delete()
    assert root.get(address).status_code == 302


class WriterAdmin(ExplainAdminMixin, admin.ModelAdmin):
    """The model has no permission for the button."""


def test_a_check_says_that_nobody_can_have_the_permission():
    [found] = WriterAdmin(Writer, SITE).check()
    assert found.id == "heliograph.W411"
    assert "app.explain_writer, which does not exist" in found.msg
    assert 'permissions = [("explain_writer", "Can explain writers")]' in found.hint


def test_a_model_with_the_permission_has_no_warning():
    assert ArticleAdmin(Article, SITE).check() == []
