"""Values in conditions: several of them in changed(), and those that an instance has now in has()."""

import pickle
from decimal import Decimal

import pytest
from django.core.exceptions import FieldDoesNotExist
from django.db import connection
from django.db.models import F

from heliograph import UNKNOWN, BeforeCommit, Signal, changed, created, has, receiver
from heliograph.checks import check_conditions
from heliograph.signals import m2m_changed, post_delete, post_init, post_save, pre_delete, pre_save
from tests.app.models import Account, Article, Novel, Review, Writer
from tests.helpers.articles import titles

database = pytest.mark.django_db
lent = Signal(name="lent")


def record(**kwargs):
    """A receiver."""


def saved(received, instance, field, *values):
    """Return those of the values with whose save the receiver was called."""
    called = []
    for value in values:
        before = len(received)
        setattr(instance, field, value)
        instance.save()
        called += [value] * (len(received) - before)
    return called


# --- several values -----------------------------------------------------------------------------------------------


@database
@pytest.mark.parametrize("several", [list, tuple, set, frozenset])
def test_several_new_values_mean_any_of_them(listen, several):
    received = listen(post_save, sender=Article, when=changed("title", to=several(["b", "c"])))
    assert saved(received, Article.objects.create(title="a"), "title", "b", "c", "d") == ["b", "c"]


@database
@pytest.mark.parametrize("several", [list, tuple, set, frozenset])
def test_several_old_values_mean_any_of_them(listen, several):
    received = listen(post_save, sender=Article, when=changed("title", was=several(["a", "c"])))
    assert saved(received, Article.objects.create(title="a"), "title", "b", "c", "d") == ["b", "d"]


@database
def test_several_keys_and_instances_mean_any_of_them(listen):
    writers = [Writer.objects.create(name=name) for name in "abc"]
    received = listen(post_save, sender=Article, when=changed("author", to=[writers[0], writers[1].pk, None]))
    article = Article.objects.create(author=writers[2])
    for author in (*writers, None):
        article.author = author
        article.save()
    assert len(received) == 3


@database
def test_several_values_are_compared_as_the_database_does(listen):
    received = listen(post_save, sender=Article, when=changed("price", to=["1.50", 2]))
    assert saved(received, Article.objects.create(), "price", "1.5", "2.00", "3") == ["1.5", "2.00"]


@database
def test_a_list_is_one_value_of_a_field_whose_values_are_lists(listen):
    received = listen(post_save, sender=Article, when=changed("labels", to=["a", "b"]))
    article = Article.objects.create()
    for labels in (["a"], ["a", "b"], []):
        article.labels = labels
        article.save()
    assert len(received) == 1


@database
@pytest.mark.skipif(connection.vendor != "postgresql", reason="arrays are PostgreSQL's")
def test_a_list_is_one_value_of_an_array(listen):
    from tests.app.models import Basket

    received = listen(post_save, sender=Basket, when=changed("items", to=["a", "b"]) | has(items=["c"]))
    basket = Basket.objects.create()
    for items in (["a"], ["a", "b"], ["c"]):
        basket.items = items
        basket.save()
    assert len(received) == 2


@database
def test_several_values_hold_for_rows_of_a_bulk_write(listen):
    received = listen(post_save, sender=Article, bulk=True, when=changed("title", to=["b", "c"]))
    Article.objects.bulk_create([Article(title="a"), Article(title="b")])
    Article.objects.update(title="c")
    assert titles(received) == ["c", "c"]


def test_conditions_with_several_values_are_values_themselves():
    asked = changed("title", to=["a", "b"], was={"c"})
    assert asked == changed("title", to=["a", "b"], was={"c"})
    assert hash(asked) == hash(changed("title", to=["a", "b"], was={"c"}))
    assert repr(asked) == "changed('title', was={'c'}, to=['a', 'b'])"
    assert pickle.loads(pickle.dumps(asked)) == asked


# --- what an instance has -----------------------------------------------------------------------------------------


@database
@pytest.mark.parametrize("signal", [pre_save, post_save], ids=["pre_save", "post_save"])
def test_a_value_that_is_there_holds_whether_it_is_changed_or_not(listen, signal):
    received = listen(signal, sender=Article, when=has(title="b"))
    article = Article.objects.create(title="b")
    article.save()
    assert saved(received, article, "title", "c", "b") == ["b"]
    assert len(received) == 3


@database
@pytest.mark.parametrize("given", ["2.505", Decimal("2.5")])
def test_a_number_is_compared_as_the_database_rounds_it_whether_it_is_changed_or_not(listen, given):
    stored = Article.objects.create(price=given)
    stored.refresh_from_db()
    received = listen(post_save, sender=Article, bulk=True, when=has(price=str(stored.price)))
    Article.objects.create(price=given).save()
    Article.objects.bulk_create([Article(price=given)])
    assert len(received) == 3


@database
def test_all_fields_must_have_their_values(listen):
    received = listen(post_save, sender=Article, when=has(title=["a", "b"], words=3))
    for title, words in (("a", 3), ("b", 3), ("a", 4), ("c", 3)):
        Article.objects.create(title=title, words=words)
    assert titles(received) == ["a", "b"]


@database
def test_it_combines_with_other_conditions(listen):
    received = listen(post_save, sender=Article, when=~has(title="a") & created | changed("title") & has(words=3))
    article = Article.objects.create(title="a", words=3)
    Article.objects.create(title="b")
    article.title = "c"
    article.save()
    assert len(received) == 2


@database
@pytest.mark.parametrize("name", ["author", "author_id"])
def test_a_foreign_key_is_asked_for_by_an_instance_or_its_key(listen, name):
    ada, bob = Writer.objects.create(name="Ada"), Writer.objects.create(name="Bob")
    received = listen(post_save, sender=Article, when=has(**{name: [ada, bob.pk]}))
    for author in (ada, bob, None):
        Article.objects.create(author=author)
    assert len(received) == 2


@database
@pytest.mark.parametrize("signal", [pre_delete, post_delete], ids=["pre_delete", "post_delete"])
def test_a_deleted_row_has_its_values(listen, signal):
    received = listen(signal, sender=Article, when=has(title="a"))
    Article.objects.create(title="a").delete()
    Article.objects.create(title="b").delete()
    assert len(received) == 1


@database
def test_rows_of_bulk_writes_have_their_values(listen):
    received = listen(post_save, sender=Article, bulk=True, when=has(title="b"))
    gone = listen(post_delete, sender=Article, bulk=True, when=has(title="b"))
    Article.objects.bulk_create([Article(title="a"), Article(title="b")])
    Article.objects.filter(title="a").update(title="b")
    Article.objects.all().delete()
    assert (len(received), len(gone)) == (2, 2)


@database
def test_a_batch_has_the_rows_with_the_values_at_the_end(connect):
    from django.db import transaction

    batches = []

    def add_up(batch, **kwargs):
        batches.append(sorted(event.instance.title for event in batch.events))

    connect(post_save, add_up, sender=Article, bulk=True, when=has(title=["b"]), delivery=BeforeCommit(batch=True))
    with transaction.atomic():
        article = Article.objects.create(title="a")
        Article.objects.bulk_create([Article(title="b"), Article(title="c")])
        article.title = "b"
        article.save()
    assert batches == [["b", "b"]]


@database
def test_a_signal_of_ones_own_that_sends_an_instance_can_ask_for_values(listen):
    received = listen(lent, sender=Article, when=has(title="a"))
    for title in "ab":
        lent.send(sender=Article, instance=Article(title=title))
    assert len(received) == 1


@database
def test_a_field_that_is_not_loaded_is_loaded(listen, django_assert_num_queries):
    Article.objects.create(title="a")
    received = listen(pre_save, sender=Article, when=has(title="a"))
    article = Article.objects.only("words").get()
    with django_assert_num_queries(2):
        article.save(update_fields=["words"])
    assert len(received) == 1


@database
def test_a_field_that_was_not_loaded_of_a_row_that_is_gone_has_no_value(listen):
    Article.objects.create(title="a")
    article = Article.objects.only("words").get()
    received = listen(post_delete, sender=Article, when=has(title="a"))
    article.delete()
    assert received == []


@database
def test_a_value_that_only_the_database_knows_is_none_that_is_asked_for(listen):
    account = Account.objects.create(balance=1)
    received = listen(pre_save, sender=Account, when=has(balance=[1, 2]))
    account.balance = F("balance") + 1
    account.save()
    assert received == []


@database
def test_models_without_the_field_do_not_have_the_value(listen):
    received = listen(post_save, when=has(title="a"))
    Writer.objects.create(name="a")
    Article.objects.create(title="a")
    assert titles(received) == ["a"]


def test_it_prints_as_it_was_written_and_is_a_value():
    asked = has(title=["a", "b"], words=3)
    assert repr(~asked) == "~has(title=['a', 'b'], words=3)"
    assert asked == has(title=["a", "b"], words=3)
    assert hash(asked) == hash(has(title=["a", "b"], words=3))
    assert asked != has(title="a", words=3)


# --- mistakes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        (changed("title", to=[]), r"^changed\('title', to=\[\]\): to=\[\] has no value in it\. Give at least one\.$"),
        (has(title=()), r"^has\(title=\(\)\): title=\(\) has no value in it\."),
        (
            changed("words", to=[1, "many"]),
            r"'many' is not a value of app\.Article\.words \(IntegerField\)\. Give a",
        ),
        (has(words="many"), r"^has\(words='many'\): 'many' is not a value of app\.Article\.words"),
        (changed("title", to=str.isupper), r"is not a value of app\.Article\.title"),
        (changed("title", to=str), r"<class 'str'> is not a value of app\.Article\.title"),
        (
            changed("words", to=range(3)),
            r"range\(0, 3\) is not a value of app\.Article\.words .*\. Give a value",
        ),
        (changed("title", to={"a": 1}), r"{'a': 1} is not a value of app\.Article\.title"),
        (changed("title", was=UNKNOWN), r"UNKNOWN is not a value of app\.Article\.title"),
        (changed("words", to=F("words") + 1), r"is not a value of app\.Article\.words"),
        (has(author=Review(pk=1)), r"is not a value of app\.Article\.author"),
    ],
    ids=range(11),
)
def test_d5_a_value_that_a_field_never_has_is_refused_where_the_receiver_is_connected(condition, message):
    with pytest.raises(ValueError, match=message):
        post_save.connect(record, sender=Article, when=condition)


def test_d5_a_field_that_is_not_there_is_refused():
    with pytest.raises(FieldDoesNotExist, match=r"^has\(titel='a'\): app\.Article has no field 'titel'\. Did you mean"):
        post_save.connect(record, sender=Article, when=has(titel="a"))


def test_d5_a_condition_on_no_field_is_refused():
    with pytest.raises(ValueError, match=r"^has\(\) names no field: write the name and the value, as in has\(status="):
        has()


@pytest.mark.parametrize("signal", [post_init, m2m_changed], ids=["post_init", "m2m_changed"])
def test_d5_a_signal_whose_instance_is_not_saved_is_refused(signal):
    with pytest.raises(TypeError, match=r"^has\(title='a'\) is for pre_save, post_save, the signals of a deletion"):
        signal.connect(record, sender=Novel.genres.through if signal is m2m_changed else Novel, when=has(title="a"))


def test_d5_a_field_that_no_model_has_is_found_by_the_check(connect):
    connect(post_save, record, when=has(titel="a", title="b"))
    found = [error for error in check_conditions(None) if "titel" in error.msg]
    assert [error.id for error in found] == ["heliograph.E002"]


@database
def test_the_decorator_takes_it_in_a_list_of_signals():
    @receiver([post_save, post_delete], sender=Article, when=has(title="a"))
    def receives(**kwargs):
        called.append(1)

    called = []
    article = Article.objects.create(title="a")
    article.delete()
    post_save.disconnect(receives, sender=Article)
    post_delete.disconnect(receives, sender=Article)
    assert len(called) == 2
