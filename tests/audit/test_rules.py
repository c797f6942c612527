"""What an entry has and has not, and who has caused it."""

import json
import logging
from datetime import timedelta
from decimal import Decimal

import pytest
from django.contrib.auth.models import Group, User
from django.core.exceptions import ImproperlyConfigured
from django.db import connection, connections, transaction
from django.db.models import F
from django.test import override_settings

from heliograph import BeforeCommit, changed, mute
from heliograph.audit import audit
from heliograph.audit.audited_models import AUDITED
from heliograph.audit.models import ChangeSet, Entry
from heliograph.context import acting, context
from heliograph.signals import post_save
from tests.app.models import Account, Article, Draft, Folder, Post, Ware, Writer
from tests.audit.entries import acts, changes, entries
from tests.helpers.savepoints import make_savepoint
from tests.helpers.statements import statements, verbs
from tests.helpers.threads import in_thread

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])


@pytest.fixture
def ware():
    made = Ware.objects.create(name="nail", stock=5)
    audit(Ware)
    return made


def save(row, **values):
    for name, value in values.items():
        setattr(row, name, value)
    row.save()


# --- net changes ------------------------------------------------------------------------------------------------


def test_l2_a_save_that_changes_nothing_writes_nothing(ware):
    ware.save()
    with transaction.atomic():
        save(ware, stock=6)
        save(ware, stock=5)

    assert entries() == []


def test_a_save_that_changes_nothing_is_one_statement_without_a_transaction(ware):
    assert verbs(Ware.objects.get().save) == ["UPDATE"]


def test_a_save_is_an_update_and_the_statements_of_the_log(ware):
    fresh = Ware.objects.get()
    fresh.stock = 6
    found = [one for one in verbs(fresh.save) if one not in ("BEGIN", "COMMIT")]
    assert found == ["UPDATE", *(["WITH"] if connection.vendor == "postgresql" else ["INSERT"] * 3)]
    assert changes() == [{"stock": [5, 6]}]


def test_a_stale_copy_that_seems_to_change_nothing_has_an_entry_in_the_transaction_of_its_write(ware):
    stale, other = Ware.objects.get(), Ware.objects.get()
    save(other, stock=9)
    with override_settings(HELIOGRAPH={"AUDIT": {"TEXT_LIMIT": "none"}}), pytest.raises(ImproperlyConfigured):
        stale.save()
    assert Ware.objects.get().stock == 9
    stale.save()

    assert changes() == [{"stock": [5, 9]}, {"stock": [9, 5]}]


def test_l2_auto_now_alone_is_no_change_and_generated_fields_are_left_out():
    article, account = Article.objects.create(), Account.objects.create(balance=1)
    audit(Article)
    audit(Account)
    article.save()
    save(account, balance=2)

    assert changes() == [{"balance": [1, 2]}]


def test_l2_values_are_those_that_the_database_stores():
    article = Article.objects.create()
    audit(Article)
    save(article, price=Decimal("2.5"), words="7")

    (found,) = changes()
    assert found["price"] == [{"$": "decimal", "value": "0.00"}, {"$": "decimal", "value": "2.50"}]
    assert found["words"] == [0, 7]


def test_l15_a_full_save_of_a_stale_copy_is_in_the_log_with_the_old_value_of_the_row(ware):
    stale = Ware.objects.get()
    save(ware, stock=9, name="hammer")
    save(stale, rank=1)

    assert changes()[1] == {"name": ["hammer", "nail"], "rank": [None, 1], "stock": [9, 5]}


def test_l16_a_deletion_has_the_values_of_the_row_and_a_row_that_is_gone_has_no_entry(ware):
    stale, again = Ware.objects.get(), Ware.objects.get()
    Ware.objects.update(stock=F("stock") + 1)
    stale.name = "edited"
    key = stale.pk
    stale.delete()
    again.delete()

    assert entries()[1:] == [("deleted", str(key), {"name": ["nail"], "rank": [None], "stock": [6]})]


def test_l17_a_savepoint_that_is_rolled_back_by_hand_leaves_no_entry(ware):
    with transaction.atomic():
        point = make_savepoint()
        save(ware, stock=9)
        transaction.savepoint_rollback(point)

    assert entries() == []


def test_l20_another_batch_receiver_that_writes_the_row_is_in_the_same_entry(ware, receive):
    @receive(post_save, sender=Ware, when=changed("stock"), delivery=BeforeCommit(batch=True))
    def rank(sender, batch, **kwargs):
        for one in batch.instances:
            one.rank = one.stock
            one.save()

    save(ware, stock=9)

    assert changes() == [{"rank": [None, 9], "stock": [5, 9]}]


def test_l20_a_receiver_that_saves_the_row_again_is_in_the_same_entry(ware, receive):
    @receive(post_save, sender=Ware, when=changed("stock", to=9))
    def again(sender, instance, **kwargs):
        instance.stock = 10
        instance.save()

    with transaction.atomic():  # in autocommit, a receiver of Django's runs after the commit
        save(ware, stock=9)

    assert changes() == [{"stock": [5, 10]}]


def test_l20_a_proxy_and_its_model_have_one_entry():
    post = Post.objects.create(text="a")
    audit(Post)
    with transaction.atomic():
        save(Draft.objects.get(pk=post.pk), text="b")
        Post.objects.update(text="c")

    assert entries() == [("updated", str(post.pk), {"text": ["a", "c"]})]


def test_l20_muting_everything_does_not_silence_the_log(ware):
    with mute():
        save(ware, stock=7)

    assert changes() == [{"stock": [5, 7]}]


def test_l3_a_relation_has_the_keys_that_were_really_added_and_removed():
    audit(User)
    user = User.objects.create(username="ada")
    one, two, three = (Group.objects.create(name=name) for name in "abc")
    with transaction.atomic():
        user.groups.add(one, two)
        user.groups.set([two, three])

    assert entries()[-1] == ("related", str(user.pk), {"groups": {"added": [two.pk, three.pk], "removed": []}})


def test_l4_a_transaction_has_one_insert_of_entries(ware):
    def write():
        with transaction.atomic():
            Ware.objects.bulk_create([Ware(name=f"{at}") for at in range(50)])
            save(ware, stock=8)
            Ware.objects.filter(name="7").delete()

    inserts = [sql for sql in statements(write) if Entry._meta.db_table in sql]
    assert len(inserts) == 1
    assert len(entries()) == 50


# --- fields -----------------------------------------------------------------------------------------------------


def test_l6_secret_and_masked_fields_are_not_in_the_log(caplog):
    audit(User, mask=["email"])
    with caplog.at_level(logging.DEBUG):
        user = User.objects.create_user("ada", "ada@x.de", "hidden-one")
        user.set_password("hidden-two")
        save(user, email="ada@y.de")
        User.objects.update(email="bulk@z.de")

    texts = [*Entry.objects.values_list("text", flat=True)]
    assert changes()[1] == {"email": "masked", "password": "masked"}
    assert changes()[2] == {"email": "masked"}
    shown = f"{texts} {[*Entry.objects.all()]} {caplog.text}"
    for secret in ("hidden-", "@x.de", "@y.de", "@z.de", "md5"):
        assert secret not in shown


@override_settings(HELIOGRAPH={"SENSITIVE_FIELDS": ["name"]})
def test_l6_the_names_that_the_settings_call_sensitive_are_masked():
    audit(Folder)
    Folder.objects.create(name="hidden")

    assert changes() == [{"name": "masked", "parent": [None]}]


def test_a_field_that_is_left_out_is_in_no_entry():
    audit(Ware, exclude=["stock"])
    ware = Ware.objects.create(name="nail", stock=3)
    save(ware, stock=4)

    assert changes() == [{"name": ["nail"], "rank": [None]}]


def test_a_named_foreign_key_says_how_the_object_was_called():
    old, new = (Folder.objects.create(name=name) for name in "ab")
    folder = Folder.objects.create(parent=old)
    audit(Folder, names=["parent"])
    save(folder, parent=new)

    names = [str(old), str(new)]
    assert changes() == [{"parent": {"old": old.pk, "new": new.pk, "names": names}}]


def test_named_foreign_keys_of_many_rows_take_one_query():
    parents = [Folder.objects.create(name=name) for name in "ab"]
    audit(Folder, names=["parent"])

    def write():
        Folder.objects.bulk_create([Folder(parent=parents[at % 2]) for at in range(20)])

    reads = [sql for sql in statements(write) if sql.startswith("SELECT") and "folder" in sql]
    assert len(reads) == 1
    assert changes()[0]["parent"] == {"value": parents[0].pk, "names": [str(parents[0])]}


@override_settings(HELIOGRAPH={"AUDIT": {"TEXT_LIMIT": 3}})
def test_a_long_text_is_cut_and_says_so(ware):
    save(ware, name="hammer")
    Ware.objects.update(name="saw")
    Ware.objects.create(name="pliers")

    assert changes() == [
        {"name": {"old": "nai", "new": "ham", "cut": [4, 6]}},
        {"name": {"old": "ham", "new": "saw", "cut": [6, 0]}},
        {"name": {"value": "pli", "cut": [6]}, "rank": [None], "stock": [0]},
    ]


def test_rows_of_a_bulk_write_have_the_same_entries_as_rows_by_themselves():
    rows = [{"title": f'ä"{at}', "words": at, "price": Decimal(at), "labels": [at]} for at in range(5)]
    audit(Article)
    Article.objects.bulk_create([Article(**row) for row in rows])
    Article.objects.update(words=F("words") * 2, price=3)
    Article.objects.all().delete()
    in_bulk = [(action, found) for action, _, found in entries()]
    with connection.cursor() as cursor:
        cursor.execute(f"DELETE FROM {Entry._meta.db_table}")
    made = [Article.objects.create(**row) for row in rows]
    for one in made:
        save(one, words=one.words * 2, price=3)
    for one in made:
        one.delete()

    alone = [(action, found) for action, _, found in entries()]
    times = ("updated",)  # which Django sets at each save
    assert [_without(found, times) for found in in_bulk] == [_without(found, times) for found in alone]


def _without(found, names):
    action, values = found
    return action, {name: value for name, value in values.items() if name not in names}


# --- who, and where ---------------------------------------------------------------------------------------------


def test_the_actor_the_reason_and_the_context_are_those_of_the_send(ware):
    ada = User.objects.create(username="ada")
    with transaction.atomic(), acting(ada, reason="new prices"), context(request_id="r1"):
        save(ware, stock=6)

    ((actor, label, reason, told),) = acts()
    assert (actor, label, reason, told["request_id"]) == (f"auth.User {ada.pk}", "ada", "new prices", "r1")


def test_l18_two_actors_in_one_transaction_have_an_entry_each(ware):
    other = Ware.objects.create(name="screw")
    with transaction.atomic():
        with acting("ada"):
            save(ware, stock=6)
        with acting("bob"):
            save(ware, stock=7)
            save(other, stock=1)

    first, second = ChangeSet.objects.all()[1:]
    assert [first.actor, second.actor, first.first, second.first] == ["ada", "bob", None, first.pk]
    assert [json.loads(one.text) for one in first.entries.all()] == [{"stock": [5, 6]}]
    assert [json.loads(one.text) for one in second.entries.all()] == [{"stock": [6, 7]}, {"stock": [0, 1]}]


def test_two_blocks_of_one_actor_are_one_change_set(ware):
    with transaction.atomic():
        for stock in (6, 7):
            with acting("ada", reason="count"):
                save(ware, stock=stock)

    assert [(actor, reason) for actor, _, reason, _ in acts()] == [("ada", "count")]
    assert changes() == [{"stock": [5, 7]}]


def test_l8_an_entry_is_in_the_database_of_its_row():
    audit(Ware)
    Ware.objects.using("other").create(name="there")
    with transaction.atomic("other"), transaction.atomic():
        Ware.objects.create(name="here")
        Ware.objects.using("other").update(stock=4)

    assert [found["name"] for found in changes()] == [["here"]]
    assert changes("other")[1] == {"stock": [0, 4]}


def test_l19_entries_of_a_row_are_in_the_order_of_the_commits(ware):
    """The transaction that begins first commits last: it waits for the row."""
    if connection.features.has_select_for_update is False:
        pytest.skip("a database with one writer has no two transactions that overlap")

    def write_first():
        save(Ware.objects.get(), stock=10)

    with transaction.atomic():
        Writer.objects.create(name="begins")  # the transaction has its number and its time
        in_thread(write_first)
        save(Ware.objects.get() if connection.vendor == "postgresql" else ware, stock=20)

    found = [one["stock"] for one in changes()]
    assert found == [[5, 10], [10, 20]]
    first, second = ChangeSet.objects.all()
    assert first.at <= second.at


def test_keep_is_kept_with_the_declaration():
    handle = audit(Ware, keep=timedelta(days=3))
    assert AUDITED[Ware].keep == timedelta(days=3)
    assert handle.disconnect()
    assert Ware not in AUDITED


def test_without_locks_a_save_that_changes_nothing_sends_what_django_sends(ware):
    AUDITED[Ware].disconnect()
    one = Ware.objects.get()
    plain = statements(one.save)
    audit(Ware, exact=False)
    one = Ware.objects.get()

    assert statements(one.save) == plain


def test_connections_are_left_as_they_were(ware):
    save(ware, stock=50)
    assert not connections["default"].in_atomic_block
