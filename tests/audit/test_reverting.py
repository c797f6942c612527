"""A change of the log is undone by a change that the log has too."""

import pytest
from django.db import connection, transaction
from django.db.models.signals import pre_save

from heliograph import NO_ROW, Change, receiver
from heliograph.audit import Related, RevertRefused, audit, history, revert
from heliograph.audit.models import ChangeSet, Entry
from heliograph.context import acting, current
from tests.app.models import (
    Article,
    Band,
    Branch,
    Desk,
    Loan,
    Pinned,
    Post,
    Seat,
    Song,
    Ticket,
    Voucher,
    Ware,
    Writer,
)
from tests.helpers.statements import statements

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])


@pytest.fixture
def article():
    audit(Article)
    article = Article.objects.create(title="a", words=1)
    article.title, article.words = "b", 2
    article.save()
    return article


def newest(what):
    return history(what).first()


# --- updates ------------------------------------------------------------------------------------------------------


def test_l10_an_update_sets_the_old_values_again_and_is_an_entry(article):
    entry = newest(article)

    done = revert(entry)

    article.refresh_from_db()
    assert (article.title, article.words) == ("a", 1)
    assert done.steps[0].changes == {"title": Change("b", "a"), "words": Change(2, 1)}
    assert newest(article).changes["words"] == Change(2, 1)


def test_changes_of_a_row_with_a_key_of_two_columns_are_undone():
    audit(Seat)
    seat = Seat.objects.create(row=1, number=2, guest="Ada")
    seat.guest = "Grace"
    seat.save()

    revert(newest(seat))
    assert Seat.objects.get().guest == "Ada"
    assert history((Seat, newest(seat).object)).count() == 3

    revert(history(seat).actions("created").get(), force=True)
    assert not Seat.objects.exists()

    revert(newest((Seat, (1, 2))))
    assert Seat.objects.get(pk=(1, 2)).guest == "Ada"


def test_a_database_that_checks_each_statement_is_not_asked_to_check_whole_tables(article):
    # MariaDB takes seconds to list the constraints of all tables.
    sent = statements(lambda: revert(newest(article)))
    of_lists = [sql for sql in sent if "information_schema" in sql]
    assert of_lists == []


def test_l10_a_preview_does_nothing_and_can_be_read(article):
    entry = newest(article)

    preview = revert(entry, preview=True)

    assert str(preview) == (
        f"Revert of entry {entry.pk}:\n  set app.Article {article.pk}\n      title: 'b' -> 'a'\n      words: 2 -> 1"
    )
    assert newest(article) == entry
    assert Article.objects.get().words == 2


def test_l10_a_later_change_is_not_lost_unless_that_is_asked(article):
    entry = newest(article)
    article.words = 3
    article.save()
    later = newest(article)

    with pytest.raises(RevertRefused) as refused:
        revert(entry)
    assert str(refused.value) == (
        f"The revert of entry {entry.pk} is refused.\n"
        f"  app.Article {article.pk}.words: entry {later.pk} has changed it later.\n"
        "Revert with force=True, or force=['words'], to do it all the same."
    )
    assert "Refused:" in str(revert(entry, preview=True))
    assert Article.objects.get().title == "b"

    revert(entry, fields=["title"])
    assert (Article.objects.get().title, Article.objects.get().words) == ("a", 3)
    with pytest.raises(RevertRefused):
        revert(entry, force=["title"])
    revert(entry, force=["words"])
    assert Article.objects.get().words == 1


def test_l10_a_change_that_the_log_has_not_seen_is_not_lost(article):
    entry = newest(article)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE app_article SET words = 9")

    with pytest.raises(RevertRefused, match="words: it was changed later, by a write that the log has not seen"):
        revert(entry)


def test_l10_a_value_that_nobody_knows_is_not_guessed(article):
    entry = newest(article)
    Entry._base_manager.filter(pk=entry.pk).update(text='{"title": "masked", "updated": [null, null], "words": [1, 2]}')
    entry = newest(article)

    with pytest.raises(RevertRefused, match=rf"title: entry {entry.pk} has masked it; fields=\[\.\.\.\] names"):
        revert(entry, force=True)
    revert(entry, fields=["words"])
    assert (Article.objects.get().title, Article.objects.get().words) == ("b", 1)


def test_l10_a_forgotten_entry_is_not_reverted(article):
    Entry._base_manager.filter(pk=newest(article).pk).update(text="")

    with pytest.raises(RevertRefused, match="was forgotten"):
        revert(newest(article), force=True)


def test_l10_an_update_of_a_row_that_is_gone_says_how_to_get_it_back(article):
    entry = newest(article)
    key = article.pk
    article.delete()
    deletion = newest((Article, key))

    with pytest.raises(RevertRefused, match=rf"the row is gone: revert its deletion, entry {deletion.pk}\."):
        revert(entry)


def test_l10_what_full_clean_refuses_is_refused():
    audit(Ware)
    ware = Ware.objects.create(name="a")
    ware.name = "b"
    ware.save()
    entry = newest(ware)
    Ware.objects.create(name="a")

    assert "already exists" in str(revert(entry, preview=True))
    with pytest.raises(RevertRefused, match=r"\.name: Ware with this Name already exists\. validate=False"):
        revert(entry)
    with pytest.raises(RevertRefused, match="the database refuses it"):
        revert(entry, validate=False)
    ware.refresh_from_db()
    assert ware.name == "b"


def test_l10_a_revert_says_why_it_was_made(article):
    entry, reasons = newest(article), []

    @receiver(pre_save, sender=Article)
    def remember(sender, **kwargs):
        reasons.append(current().reason)

    try:
        revert(entry)
        with acting(None, reason="a mistake"):
            revert(newest(article))
    finally:
        pre_save.disconnect(remember, sender=Article)

    assert reasons == [f"revert of entry {entry.pk}", f"revert of entry {entry.pk + 1}: a mistake"]


def test_l10_a_revert_is_in_the_database_of_the_entry():
    audit(Ticket)
    ticket = Ticket.objects.using("other").create()
    ticket.state = "b"
    ticket.save()

    revert(newest(ticket))

    assert Ticket.objects.using("other").get().state == "new"


# --- creations ----------------------------------------------------------------------------------------------------


def test_l10_a_creation_is_reverted_by_a_deletion():
    audit(Ticket)
    ticket = Ticket.objects.create()

    assert revert(newest(ticket)).steps[0].changes["state"] == Change("new", NO_ROW)

    assert not Ticket.objects.exists()
    assert newest((Ticket, ticket.pk)).action == "deleted"
    with pytest.raises(RevertRefused, match="the row is gone already"):
        revert(history((Ticket, ticket.pk)).earliest())


def test_l10_a_row_that_was_changed_later_is_not_deleted(article):
    created = history(article).earliest()

    with pytest.raises(RevertRefused, match=r"force=\['title', 'updated', 'words'\]"):
        revert(created)
    revert(created, force=True)
    assert not Article.objects.exists()


def test_l10_rows_that_refer_to_a_row_are_not_lost_with_it():
    audit(Branch)
    branch = Branch.objects.create(code="a")
    Desk.objects.bulk_create([Desk(branch=branch), Desk(branch=branch)])
    Branch.objects.create(code="main")
    Loan.objects.create(nulled=branch)

    with pytest.raises(RevertRefused) as refused:
        revert(newest(branch))
    assert [one.text for one in refused.value.refusals] == [
        "it would also delete 2 app.Desk, that refer to it.",
        "it would also change 1 app.Loan, that refer to it.",
    ]
    Loan.objects.create(protected=branch)
    with pytest.raises(RevertRefused, match="other rows refer to it, and protect it"):
        revert(newest(branch), force=True)
    Loan.objects.filter(protected=branch).delete()
    revert(newest(branch), force=True)
    assert not Desk.objects.exists()


# --- deletions ----------------------------------------------------------------------------------------------------


def test_l10_a_deletion_is_reverted_with_the_key(article):
    Writer.objects.create(pk=7)
    article.author_id = 7
    article.save()
    key = article.pk
    article.delete()

    revert(newest((Article, key)))

    row = Article.objects.get()
    assert (row.pk, row.title, row.words, row.author_id, row.labels) == (key, "b", 2, 7, [])
    assert newest(row).action == "created"
    with pytest.raises(RevertRefused, match="there is a row with this key already"):
        revert(history(row)[1])


def test_l10_a_deletion_with_values_that_nobody_knows_takes_defaults_if_asked():
    audit(Voucher, exclude=["uses"])
    voucher = Voucher.objects.create(code="a", uses=5)
    key = voucher.pk
    voucher.delete()
    entry = newest((Voucher, key))

    with pytest.raises(RevertRefused, match=rf"uses: entry {entry.pk} does not have it; it would be 0\."):
        revert(entry)
    revert(entry, force=["uses"])
    assert (Voucher.objects.get().pk, Voucher.objects.get().uses) == (key, 0)


def test_l10_a_deletion_whose_foreign_key_has_no_row_is_refused(article):
    writer = Writer.objects.create()
    article.author = writer
    article.save()
    key = article.pk
    article.delete()
    writer.delete()

    with pytest.raises(RevertRefused, match="author: writer instance with id"):
        revert(newest((Article, key)))
    with pytest.raises(RevertRefused, match="the database refuses it"):
        revert(newest((Article, key)), validate=False)
    assert not Article.objects.exists()


def test_l10_a_child_comes_back_in_all_its_tables():
    audit(Pinned)
    pinned = Pinned.objects.create(text="a", rank=3)
    key = pinned.pk
    pinned.delete()
    deletion = history((Pinned, key)).filter(kind__model="app.Pinned").first()

    revert(deletion)

    row = Pinned.objects.get()
    assert (row.pk, row.text, row.rank) == (key, "a", 3)


def test_l10_a_child_whose_parent_stayed_comes_back_to_it():
    audit(Pinned)
    pinned = Pinned.objects.create(text="a", rank=3)
    key = pinned.pk
    pinned.delete(keep_parents=True)
    Post.objects.filter(pk=key).update(text="b")
    deletion = history((Pinned, key)).filter(kind__model="app.Pinned").first()

    revert(deletion)

    assert (Pinned.objects.get().text, Pinned.objects.get().rank) == ("b", 3)


# --- relations ----------------------------------------------------------------------------------------------------


@pytest.fixture
def band():
    audit(Band)
    return Band.objects.create(code="x")


def test_l10_a_relation_loses_what_was_added_and_gets_what_was_removed(band):
    one, two = Song.objects.create(slug="a"), Song.objects.create(slug="b")
    band.hidden.add(one)
    band.hidden.set([two])

    done = revert(newest(band))

    assert [*band.hidden.all()] == [one]
    assert done.steps[0].changes == {"hidden": Related((one.pk,), (two.pk,))}
    assert str(done).endswith(f"hidden: +{one.pk}, -{two.pk}")
    assert newest(band).changes == {"hidden": Related((one.pk,), (two.pk,))}


def test_l10_a_relation_does_not_lose_later_changes_and_takes_no_rows_that_are_gone(band):
    song = Song.objects.create(slug="a")
    band.hidden.add(song)
    added = newest(band)
    band.hidden.remove(song)
    removed = newest(band)
    band.hidden.add(song)
    again = newest(band)

    with pytest.raises(RevertRefused, match=f"hidden: entry {again.pk} has changed it later"):
        revert(added)
    band.hidden.remove(song)
    key = song.pk
    song.delete()
    with pytest.raises(RevertRefused, match=rf"hidden: app\.Song {key} is gone"):
        revert(removed, force=True)


# --- change sets --------------------------------------------------------------------------------------------------


def test_l10_a_change_set_is_reverted_as_a_whole():
    for model in (Ticket, Band, Branch, Desk):
        audit(model)
    kept, gone = Ticket.objects.create(), Ticket.objects.create()
    old, song = Band.objects.create(code="x"), Song.objects.create(slug="a")
    old.hidden.add(song)
    gone_key, old_key = gone.pk, old.pk
    with transaction.atomic():
        Ticket.objects.filter(pk=kept.pk).update(state="b")
        gone.delete()
        branch = Branch.objects.create(code="a")
        Desk.objects.create(branch=branch)
        old.delete()
    change_set = ChangeSet.objects.latest("id")

    preview = revert(change_set, preview=True)
    assert preview.refusals == ()
    done = revert(change_set)

    assert [step.verb for step in done.steps] == [step.verb for step in preview.steps]
    assert {*Ticket.objects.values_list("pk", "state")} == {(kept.pk, "new"), (gone_key, "new")}
    assert not Branch.objects.exists()
    assert [*Band.objects.get(pk=old_key).hidden.all()] == [song]
    assert ChangeSet.objects.latest("id").entries.count() == len(done.steps)


def test_l10_rows_come_back_before_others_refer_to_them():
    audit(Branch)
    audit(Desk)
    branch = Branch.objects.create(code="a")
    Desk.objects.create(branch=branch, number=7)
    branch.delete()

    done = revert(ChangeSet.objects.latest("id"))

    assert [step.entry.kind.model for step in done.steps] == ["app.Branch", "app.Desk"]
    assert Desk.objects.get(branch="a").number == 7


def test_l10_a_change_set_is_reverted_all_or_nothing(article):
    audit(Ticket)
    with transaction.atomic():
        ticket = Ticket.objects.create()
        article.words = 3
        article.save()
    change_set = newest(article).change_set
    article.words = 4
    article.save()

    with pytest.raises(RevertRefused, match="The revert of change set"):
        revert(change_set)
    assert Ticket.objects.get() == ticket


def test_l10_a_change_set_with_a_child_has_one_step_for_it():
    audit(Pinned)
    pinned = Pinned.objects.create(text="a")
    key = pinned.pk
    pinned.delete()
    deletion, creation = newest((Pinned, key)).change_set, history((Pinned, key)).last().change_set

    assert len(revert(deletion).steps) == 1
    assert Pinned.objects.get().text == "a"
    assert len(revert(creation, preview=True).steps) == 1


def test_l10_what_is_no_entry_is_refused():
    with pytest.raises(TypeError, match=r"revert\(\) takes an entry or a change set of the audit log, and not 5"):
        revert(5)
