"""Protected rows in the admin: it says before a deletion what it cannot delete, and why."""

import pytest
from django.contrib import admin
from django.db.models import Q
from django.urls import path

from heliograph import mute
from heliograph.recipes import protect
from tests.app.models import Audiobook, Novel, Writer
from tests.helpers.statements import statements

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]

site = admin.AdminSite(name="protected")


class NovelsOfWriter(admin.TabularInline):
    model = Novel
    fk_name = "writer"
    fields = ("name",)
    extra = 0


site.register(Novel, fields=("name",))
site.register(Audiobook, fields=("name",))
site.register(Writer, inlines=[NovelsOfWriter], fields=("name",))
urlpatterns = [path("admin/", site.urls)]

WHEN = {"a Q": Q(name="Featured"), "a function": lambda novel: novel.name == "Featured"}


@pytest.fixture(params=WHEN)
def featured(request):
    """Protect novels that are named so."""
    return protect(Novel, when=WHEN[request.param], message="Featured novels stay.")


@pytest.fixture
def writer():
    """Return the writer of a novel that is featured, and of another one."""
    writer = Writer.objects.create(name="Ada")
    for name in ("Featured", "Other"):
        Novel.objects.create(name=name, writer=writer)
    return writer


def selected(model):
    return {"action": "delete_selected", "_selected_action": [*model.objects.values_list("pk", flat=True)]}


def named_featured():
    return Novel.objects.get(name="Featured")


# What a person asks the admin to delete, and where.
QUESTIONS = {
    "the row": lambda: (f"/admin/app/novel/{named_featured().pk}/delete/", {}),
    "the parent": lambda: (f"/admin/app/writer/{named_featured().writer_id}/delete/", {}),
    "selected rows": lambda: ("/admin/app/novel/", selected(Novel)),
    "selected parents": lambda: ("/admin/app/writer/", selected(Writer)),
}


def asked(client, question, **confirmed):
    """Return the text of the page that answers."""
    url, data = QUESTIONS[question]()
    response = client.post(url, {**data, **confirmed}) if data or confirmed else client.get(url)
    return response.status_code, response.content.decode()


@pytest.mark.usefixtures("featured", "writer")
@pytest.mark.parametrize("question", QUESTIONS)
def test_r16_the_page_before_a_deletion_says_which_row_stays_and_why(admin_client, question):
    status, page = asked(admin_client, question)
    assert (status, page.count("Featured novels stay.")) == (200, 1)
    assert "Are you sure" not in page
    url = f"/admin/app/novel/{named_featured().pk}/change/"
    assert f'<a href="{url}">Novel object ({named_featured().pk}) (Featured novels stay.)</a>' in page


@pytest.mark.usefixtures("featured", "writer")
@pytest.mark.parametrize("question", QUESTIONS)
def test_r16_a_deletion_that_is_confirmed_all_the_same_is_refused_by_a_page(admin_client, question):
    status, page = asked(admin_client, question, post="yes")
    assert (status, "Featured novels stay." in page) == (200, True)
    assert (Novel.objects.count(), Writer.objects.count()) == (2, 1)


@pytest.mark.usefixtures("featured")
@pytest.mark.parametrize("question", QUESTIONS)
def test_rows_for_which_it_does_not_hold_are_deleted(admin_client, writer, question):
    urls = QUESTIONS[question]()
    Novel.objects.filter(name="Featured").update(name="Third")
    url, data = urls
    response = admin_client.post(url, {**data, "post": "yes"})
    assert (response.status_code, Novel.objects.count() < 2) == (302, True)


@pytest.mark.usefixtures("featured")
def test_a_row_that_an_inline_deletes_is_an_error_of_the_form(admin_client, writer):
    novel = named_featured()
    others = {f"novels-{name}": 1 for name in ("TOTAL_FORMS", "INITIAL_FORMS")}
    row = {"novels-0-id": novel.pk, "novels-0-writer": writer.pk, "novels-0-name": "Featured", "novels-0-DELETE": "on"}
    response = admin_client.post(f"/admin/app/writer/{writer.pk}/change/", {"name": "Ada", **others, **row})
    assert (response.status_code, "(Featured novels stay.)" in response.content.decode()) == (200, True)
    assert Novel.objects.count() == 2


@pytest.mark.usefixtures("featured")
def test_a_child_by_inheritance_stays_with_its_parent(admin_client):
    child = Audiobook.objects.create(name="Featured")
    page = admin_client.get(f"/admin/app/audiobook/{child.pk}/delete/").content.decode()
    assert "Featured novels stay." in page


@pytest.mark.usefixtures("featured")
def test_the_question_locks_nothing(admin_client, writer):
    sent = statements(lambda: asked(admin_client, "the parent"))
    assert [sql for sql in sent if "FOR UPDATE" in sql or "IMMEDIATE" in sql] == []


@pytest.mark.usefixtures("featured", "writer")
def test_muted_the_page_asks_whether_you_are_sure(admin_client):
    with mute(Novel):
        assert "Are you sure" in asked(admin_client, "the parent")[1]


@pytest.mark.usefixtures("writer")
def test_disconnected_the_page_asks_whether_you_are_sure(admin_client, featured):
    featured.disconnect()
    assert "Are you sure" in asked(admin_client, "the parent")[1]
