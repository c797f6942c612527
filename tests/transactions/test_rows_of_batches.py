"""The rows of a batch: one event for each row that differs after the transaction, whatever wrote it and how often."""

from contextlib import contextmanager

import pytest
from django.db import connection, transaction
from django.db.models import F
from django.db.models.signals import post_delete, post_save, pre_delete

from heliograph import BeforeCommit, OnCommit, Signal, changed, created
from heliograph.signals import m2m_changes
from tests.app.models import (
    Account,
    Article,
    Audiobook,
    Branch,
    Country,
    Desk,
    Genre,
    Loan,
    Novel,
    Reprint,
    Seat,
    Ticket,
    Writer,
)

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])
BOTH = [post_save, post_delete]


@pytest.fixture
def batches(receive):
    """Connect a receiver of batches: `received = batches(post_save, sender=Article)` is the list of them."""

    def connect(signal, policy=BeforeCommit, when=None, gone=None, **options):
        """`when` is the condition of saves, beside `created`, and `gone` that of deletions."""
        received = []

        def record(sender, batch, **kwargs):
            received.append(batch)

        for one in signal if isinstance(signal, list) else [signal]:
            condition = gone if one is not post_save else None if when is None else created | when
            receive(one, when=condition, delivery=policy(batch=True), **options)(record)
        return received

    return connect


def delivered(batches):
    """Return what batches report of each row: its kind and its key."""
    return [[(event.kind, event.pk) for event in batch.events] for batch in batches]


# --- proxies ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sender", [[Novel, Reprint], Novel], ids=["both", "subclasses"])
def test_a_row_saved_through_a_proxy_and_through_its_model_is_one_event(batches, sender):
    Novel.objects.create(name="a")
    options = {"subclasses": True} if sender is Novel else {}
    received = batches(post_save, sender=sender, when=changed("name"), **options)
    with transaction.atomic():
        novel = Novel.objects.get()
        novel.name = "b"
        novel.save()
        reprint = Reprint.objects.get()
        reprint.name = "c"
        reprint.save()
    ((event,),) = (batch.events for batch in received)
    assert (event.sender, type(event.instance), event.changes) == (Reprint, Reprint, {"name": ("a", "c")})
    assert received[0].changes("name") == [(novel.pk, "a", "c")]


def test_the_sender_of_a_batch_of_both_is_the_concrete_model(receive):
    received = []

    @receive(post_save, sender=[Novel, Reprint], delivery=BeforeCommit(batch=True))
    def record(sender, batch, **kwargs):
        received.append((sender, [event.sender for event in batch.events]))

    with transaction.atomic():
        Novel.objects.create(name="a")
        Reprint.objects.create(name="b")
    Reprint.objects.create(name="c")
    assert received == [(Novel, [Novel, Reprint]), (Reprint, [Reprint])]


def test_there_and_back_through_a_proxy_is_no_net_change(batches):
    novel = Novel.objects.create(name="a")
    received = batches(post_save, sender=[Novel, Reprint], when=changed("name"))
    with transaction.atomic():
        Novel(pk=novel.pk, name="b").save()
        Reprint.objects.filter(pk=novel.pk).get()
        Reprint(pk=novel.pk, name="a").save()
    assert [event.changes["name"].new for batch in received for event in batch.events] == [
        "a"
    ]  # the old one is unknown
    del received[:]
    with transaction.atomic():
        for model, name in ((Novel, "b"), (Reprint, "a")):
            one = model.objects.get()
            one.name = name
            one.save()
    assert received == []


def test_created_through_a_proxy_and_deleted_through_the_model_is_nothing(batches):
    received = batches(BOTH, sender=[Novel, Reprint])
    with transaction.atomic():
        reprint = Reprint.objects.create(name="a")
        Novel.objects.get(pk=reprint.pk).delete()
    assert received == []


def test_bulk_writes_through_a_proxy_are_about_the_same_rows(batches):
    novel = Novel.objects.create(name="a")
    received = batches(post_save, sender=[Novel, Reprint], bulk=True, when=changed("name"))
    with transaction.atomic():
        Reprint.objects.update(name="b")
        Novel.objects.update(name="c")
    assert [batch.changes("name") for batch in received] == [[(novel.pk, "a", "c")]]


def test_a_receiver_is_not_called_again_for_the_row_that_it_saves_through_a_proxy(receive):
    calls = []

    @receive(post_save, sender=Novel, subclasses=True)
    def save_again(sender, instance, **kwargs):
        calls.append(sender)
        Reprint.objects.get(pk=instance.pk).save()

    Novel.objects.create(name="a")
    assert calls == [Novel]


def test_nor_for_the_part_of_its_row_that_is_in_the_table_of_a_parent(receive):
    calls = []

    @receive(post_save, sender=Novel, subclasses=True)
    def save_again(sender, instance, **kwargs):
        calls.append(sender)
        for model in (Novel, Audiobook):
            for one in model.objects.filter(pk=instance.pk):
                one.save()

    Audiobook.objects.create(name="a")
    assert calls == [Audiobook]


@pytest.mark.parametrize("using", ["by train", ["by", "train"], None])
def test_a_signal_whose_using_is_no_alias_is_guarded_too(receive, using):
    sent, calls = Signal(name="shop.sent"), []

    @receive(sent, reentrant="skip")
    def send_again(sender, instance, using, **kwargs):
        calls.append(instance)
        sent.send(Novel, instance=instance, using=using)

    sent.send(Novel, instance=Novel(pk=1), using=using)
    assert len(calls) == 1


# --- keys ---------------------------------------------------------------------------------------------------------


def test_a_key_that_is_a_text_and_one_that_is_a_number_are_one_row(batches, receive):
    article = Article.objects.create(words=1)
    received = batches(post_save, sender=Article)
    with transaction.atomic():
        Article(pk=str(article.pk), words=2).save()
        Article(pk=article.pk, words=3).save()
    assert delivered(received) == [[("updated", article.pk)]]


def test_a_row_of_another_database_is_another_row(batches):
    received = batches(post_save, sender=Country)
    with transaction.atomic(), transaction.atomic("other"):
        Country(code="de").save()
        Country(code="de").save(using="other")
    assert delivered(received) == [[("created", "de")], [("created", "de")]]


@pytest.mark.parametrize("model", [Ticket, Seat])
def test_keys_of_other_kinds_are_rows_too(batches, model):
    received = batches(BOTH, sender=model, bulk=True)
    keys = {"row": 1, "number": 2} if model is Seat else {}
    with transaction.atomic():
        one = model.objects.create(**keys)
        model.objects.filter(pk=one.pk).update(**({"guest": "Ada"} if model is Seat else {"state": "old"}))
    assert delivered(received) == [[("created", one.pk)]]


def test_a_row_whose_key_an_update_sets_is_gone_and_new(batches):
    Country.objects.create(code="de", name="a")
    received = batches(BOTH, sender=Country, bulk=True)
    with transaction.atomic():
        Country.objects.filter(code="de").update(code="fr", name="b")
    assert delivered(received) == [[("deleted", "de"), ("created", "fr")]]
    gone, new = (event.instance for event in received[0].events)
    assert (gone.code, gone.name, new.code, new.name) == ("de", "a", "fr", "b")


def test_a_key_that_passes_from_one_row_to_another_is_one_row_with_other_values(batches):
    for number in (1, 2):
        Seat.objects.create(row=1, number=number, guest=str(number))
    received = batches(BOTH, sender=Seat, bulk=True, when=changed("guest"))
    with transaction.atomic():
        Seat.objects.filter(number=2).update(number=3)
        Seat.objects.filter(number=1).update(number=F("number") + 1)
    assert {(event.kind, event.pk) for event in received[0].events} == {
        ("updated", (1, 2)),
        ("created", (1, 3)),
        ("deleted", (1, 1)),
    }
    assert received[0].changes("guest") == [((1, 2), "2", "1")]


def test_a_row_that_goes_to_another_key_and_back_is_no_change(batches):
    Country.objects.create(code="de", name="a")
    received = batches(BOTH, sender=Country, bulk=True, when=changed("name"))
    with transaction.atomic():
        Country.objects.update(code="fr")
        Country.objects.update(code="de")
    assert received == []


def test_each_row_of_an_update_that_sets_keys_is_delivered_as_gone_and_as_new(listen):
    Country.objects.create(code="de", name="a")
    saved, deleted = listen(post_save, sender=Country, bulk=True), listen(post_delete, sender=Country, bulk=True)
    Country.objects.update(code="fr")
    assert [(one.payload["instance"].code, one.payload["created"]) for one in saved] == [("fr", True)]
    assert [one.payload["instance"].code for one in deleted] == ["de"]


def test_a_copy_that_is_saved_under_another_key_is_a_new_row_and_the_old_one_stays(batches):
    Country.objects.create(code="de", name="a")
    received = batches(BOTH, sender=Country, when=changed("name"))
    with transaction.atomic():
        country = Country.objects.get()
        country.code, country.name = "fr", "b"
        country.save()
    assert delivered(received) == [[("created", "fr")]]


# --- deleted and created again ------------------------------------------------------------------------------------


@pytest.mark.parametrize("deletes", ["instance", "queryset"])
@pytest.mark.parametrize("creates", ["save", "bulk_create"])
def test_a_row_deleted_and_created_again_is_updated_from_its_old_values(batches, deletes, creates):
    Country.objects.create(code="de", name="a")
    received = batches(BOTH, sender=Country, bulk=True, when=changed("name"))
    with transaction.atomic():
        rows = Country.objects.filter(code="de")
        (rows.get() if deletes == "instance" else rows).delete()
        again = Country(code="de", name="b")
        again.save() if creates == "save" else Country.objects.bulk_create([again])
        again.name = "never saved"
    ((event,),) = (batch.events for batch in received)
    assert (event.kind, event.changes) == ("updated", {"name": ("a", "b")})


def test_a_row_created_again_as_it_was_is_no_change(batches):
    Country.objects.create(code="de", name="a")
    received = batches(BOTH, sender=Country, when=changed("name"))
    with transaction.atomic():
        Country.objects.get().delete()
        Country.objects.create(code="de", name="a")
    assert received == []


def test_a_row_saved_deleted_and_created_again_has_the_values_from_before_the_transaction(batches):
    Country.objects.create(code="de", name="a")
    received = batches(BOTH, sender=Country, when=changed("name"))
    with transaction.atomic():
        country = Country.objects.get()
        country.name = "b"
        country.save()
        country.delete()
        Country.objects.create(code="de", name="c")
    assert [event.changes for batch in received for event in batch.events] == [{"name": ("a", "c")}]


# --- relations ----------------------------------------------------------------------------------------------------


@pytest.fixture
def novel_and_genres():
    return Novel.objects.create(name="a"), [Genre.objects.create(name=name) for name in "ab"]


@pytest.mark.parametrize("policy", [BeforeCommit, OnCommit])
def test_a_pair_that_is_added_and_removed_again_in_a_transaction_is_nothing(batches, novel_and_genres, policy):
    novel, (a, b) = novel_and_genres
    received = batches(m2m_changes, policy, sender=Novel.genres.through)
    with transaction.atomic():
        novel.genres.add(a, b)
        a.novels.remove(novel)
        novel.genres.set([])
    assert received == []


def test_a_pair_that_is_removed_and_added_again_is_nothing_and_the_others_are_delivered(batches, novel_and_genres):
    novel, (a, b) = novel_and_genres
    novel.genres.add(a)
    received = batches(m2m_changes, sender=Novel.genres.through)
    with transaction.atomic():
        novel.genres.clear()
        novel.genres.add(a, b)
        novel.genres.through.objects.filter(genre=a).update(genre=a)
    (((event,),)) = [batch.events for batch in received]
    assert (event.kwargs["added"], event.kwargs["removed"]) == ({(novel.pk, b.pk)}, set())
    assert event.kwargs["field"] is Novel._meta.get_field("genres")


def test_what_a_savepoint_has_undone_counts_for_nothing_in_a_relation(batches, novel_and_genres):
    novel, (a, b) = novel_and_genres
    received = batches(m2m_changes, sender=Novel.genres.through)
    with transaction.atomic():
        novel.genres.add(a)
        with transaction.atomic():
            novel.genres.set([b])
            transaction.set_rollback(True)
    assert [event.kwargs["added"] for batch in received for event in batch.events] == [{(novel.pk, a.pk)}]


# --- deletions ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", [Article, Audiobook])
@pytest.mark.parametrize("bulk", [True, False])
def test_a_row_that_is_gone_already_is_no_deletion_in_a_batch(batches, listen, model, bulk):
    stale = model.objects.create()
    model.objects.filter(pk=stale.pk).delete()
    received = batches(BOTH, sender=model, bulk=bulk)
    inline = listen(post_delete, sender=model)
    assert stale.delete()[0] == 0
    assert (received, len(inline)) == ([], 1)


@pytest.mark.parametrize("model", [Novel, Audiobook])
@pytest.mark.parametrize("bulk", [True, False])
def test_the_values_of_a_deletion_are_those_of_the_row(batches, model, bulk):
    model.objects.create(name="a")
    stale = model.objects.get()
    model.objects.update(name="b")
    stale.name, stale.mark = "never saved", "kept"
    received = batches(post_delete, sender=model, bulk=bulk)
    stale.delete()
    (event,) = received[0].events
    assert (event.instance.name, event.instance.mark, type(event.instance)) == ("b", "kept", model)
    assert (event.instance.pk, received[0].deleted) == (event.pk, [event.instance])


def test_a_related_object_of_the_stale_instance_goes_where_the_row_refers_to_another(batches):
    a, b = (Writer.objects.create(name=name) for name in "ab")
    Novel.objects.create(writer=a)
    stale = Novel.objects.select_related("writer").get()
    Novel.objects.update(writer=b)
    received = batches(post_delete, sender=Novel)
    stale.delete()
    assert received[0].deleted[0].writer == b


def test_of_many_rows_those_that_are_gone_are_left_out(batches):
    for name in "abc":
        Novel.objects.create(name=name)
    received = batches(post_delete, sender=Novel)
    gone, *_ = Novel.objects.order_by("name")
    with transaction.atomic():
        Novel.objects.filter(pk=gone.pk)._raw_delete("default")
        for one in (gone, *Novel.objects.all()):
            one.delete()
    assert [sorted(one.name for one in batch.deleted) for batch in received] == [["b", "c"]]


def test_a_row_that_was_saved_and_then_deleted_unheard_is_gone_when_its_copy_is_deleted(batches):
    novel = Novel.objects.create(name="a")
    received = batches(BOTH, sender=Novel)
    with transaction.atomic():
        novel.save()
        Novel.objects.all()._raw_delete("default")
        novel.delete()
    assert delivered(received)[0][0][0] == "deleted"


def test_a_cascade_of_stale_rows_has_their_values(batches):
    branch = Branch.objects.create(code="a")
    Desk.objects.create(branch=branch, number=1)
    Loan.objects.create(nulled=branch, defaulted=None, fixed=None, computed=None)
    received = batches(post_delete, sender=Desk, subclasses=False)
    with transaction.atomic():
        branch.delete()
    assert [(event.instance.number, event.instance.branch_id) for batch in received for event in batch.events] == [
        (1, "a")
    ]


def test_a_condition_on_the_instance_is_asked_of_the_row(batches):
    Novel.objects.create(name="a")
    stale = Novel.objects.get()
    Novel.objects.update(name="b")
    received = batches(post_delete, sender=Novel, gone=lambda instance, **kwargs: instance.name == "b")
    stale.delete()
    assert len(received) == 1


def test_an_event_of_pre_delete_is_as_exact(batches):
    stale = Novel.objects.create(name="a")
    Novel.objects.all()._raw_delete("default")
    received = batches(pre_delete, sender=Novel)
    stale.delete()
    assert received == []


def test_a_row_that_goes_through_a_deletion_of_its_own_parent_has_its_values(batches):
    audiobook = Audiobook.objects.create(name="a", minutes=1)
    Audiobook.objects.update(minutes=2)
    received = batches(post_delete, sender=[Audiobook, Novel])
    audiobook.novel_ptr.delete()
    assert sorted((event.sender.__name__, event.instance.name) for batch in received for event in batch.events) == [
        ("Audiobook", "a"),
        ("Novel", "a"),
    ]
    assert [event.instance.minutes for batch in received for event in batch.events if event.sender is Audiobook] == [2]


# --- schemas ------------------------------------------------------------------------------------------------------

only_postgresql = pytest.mark.skipif(connection.vendor != "postgresql", reason="schemas on one connection")


@pytest.fixture
def schemas():
    """Two schemas with a table of countries each; those of accounts are in the public one."""
    table = Country._meta.db_table
    with connection.cursor() as cursor:
        for name in ("north", "south"):
            cursor.execute(f"CREATE SCHEMA {name}")
            cursor.execute(f"CREATE TABLE {name}.{table} (LIKE public.{table} INCLUDING ALL)")
    yield
    with connection.cursor() as cursor:
        cursor.execute("SET search_path TO DEFAULT")
        cursor.execute("DROP SCHEMA north CASCADE")
        cursor.execute("DROP SCHEMA south CASCADE")


@contextmanager
def searching(*names):
    with connection.cursor() as cursor:
        cursor.execute(f"SET search_path TO {', '.join(names)}")
    yield


@contextmanager
def tenant(name):
    """Turn to a schema as django-tenants does."""
    with searching(name, "public"):
        connection.schema_name = name
        yield
        del connection.schema_name


@only_postgresql
@pytest.mark.parametrize("switch", [tenant, lambda name: searching(name, "public")], ids=["attribute", "statement"])
def test_rows_with_one_key_in_two_schemas_are_two_rows(batches, schemas, switch):
    received = batches(BOTH, sender=Country, bulk=True, when=changed("name"))
    with transaction.atomic():
        with switch("north"):
            country = Country.objects.create(code="de", name="a")
        with switch("south"):
            Country.objects.bulk_create([Country(code="de", name="b")])
        with switch("north"):
            country.delete()
    assert delivered(received) == [[("created", "de")]]
    assert [batch.instances[0].name for batch in received] == ["b"]


@only_postgresql
@pytest.mark.parametrize("switch", [tenant, lambda name: searching(name, "public")], ids=["attribute", "statement"])
def test_a_table_that_schemas_share_has_the_same_rows_under_each(batches, schemas, switch):
    account = Account.objects.create(balance=1)
    received = batches(post_save, sender=Account, when=changed("balance"))
    with transaction.atomic():
        for name, balance in (("north", 2), ("south", 3)):
            with switch(name):
                one = Account.objects.get()
                one.balance = balance
                one.save()
    assert [batch.changes("balance") for batch in received] == [[(account.pk, 1, 3)]]


@only_postgresql
def test_the_search_path_that_a_connection_begins_with_is_a_schema_too(batches, schemas):
    received = batches(post_save, sender=Country)
    with transaction.atomic():
        Country.objects.create(code="de")
        with searching("north"):
            Country.objects.create(code="de")
        with searching('"$user"', "public"):
            Country.objects.get().save()
    assert delivered(received) == [[("created", "de")], [("created", "de")]]


@only_postgresql
def test_a_search_path_that_is_rolled_back_is_so_here_too(batches, schemas):
    received = batches(post_save, sender=Country)
    with transaction.atomic():
        with searching("north"):
            Country.objects.create(code="de")
        with transaction.atomic():
            with searching("south"):
                Country.objects.create(code="de")
            transaction.set_rollback(True)
        Country.objects.get().save()
    assert delivered(received) == [[("created", "de")]]


@only_postgresql
@pytest.mark.django_db(transaction=True, databases=["default", "other"])
def test_a_search_path_of_one_transaction_is_not_that_of_the_next_call_of_a_decorated_function(batches, schemas):
    received = batches(post_save, sender=Country)

    @transaction.atomic
    def write(*paths):
        for path in paths:
            with connection.cursor() as cursor:
                cursor.execute(f"SET LOCAL search_path TO {path}" if path else "SELECT 1")
            Country(code="de").save()

    write("north")
    write(None, "north")
    assert delivered(received) == [[("created", "de")], [("created", "de")], [("updated", "de")]]


@only_postgresql
def test_a_receiver_that_writes_the_row_of_another_schema_is_called_for_it(receive, schemas):
    calls = []

    @receive(post_save, sender=Country)
    def copy(sender, instance, **kwargs):
        calls.append(connection.schema_name)
        if connection.schema_name == "north":
            connection.schema_name = "south"
            Country(code=instance.code).save()

    with tenant("north"):
        Country.objects.create(code="de")
    assert calls == ["north", "south"]


@only_postgresql
def test_while_nobody_names_a_search_path_no_query_is_made_for_it(batches, django_assert_num_queries):
    received = batches(BOTH, sender=Country)
    with django_assert_num_queries(2 + 2), transaction.atomic():  # BEGIN, COMMIT
        Country(code="de").save(force_insert=True)
        Country(code="fr").save(force_insert=True)
    assert delivered(received) == [[("created", "de"), ("created", "fr")]]
