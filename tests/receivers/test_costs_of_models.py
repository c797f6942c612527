"""What a model pays for receivers that ask for changes: nothing where nobody asks."""

import re
from textwrap import dedent

import pytest
from django.contrib.auth import get_user_model
from django.db import models

from heliograph import changed, created
from heliograph.signals import post_save, pre_save
from tests.app.models import Genre, Writer
from tests.helpers.bare import run
from tests.helpers.receivers import takes_changes
from tests.helpers.statements import statements

database = pytest.mark.django_db

HOOKS = {"from_db", "save_base", "_save_table", "refresh_from_db"}


def hooks(model):
    return HOOKS & {*vars(model)}


def test_a_model_that_nobody_watches_has_no_hooks(connect, shop):
    connect(post_save, lambda **kwargs: None, sender=shop, when=created, weak=False)
    assert hooks(shop) == set()


@pytest.mark.parametrize(
    "options",
    [{"when": changed("name")}, {"when": ~created | changed()}, {"writes": ["name"]}],
    ids=["changed", "changed inside", "writes"],
)
def test_a_receiver_that_asks_has_the_model_watched(connect, shop, options):
    connect(pre_save, lambda **kwargs: None, sender=shop, weak=False, **options)
    assert hooks(shop) == HOOKS


def test_a_parameter_has_the_model_watched(connect, shop):
    connect(post_save, takes_changes, sender=shop)
    assert hooks(shop) == HOOKS


def test_a_receiver_that_asks_leaves_the_bases_of_its_model_alone(connect, shop):
    before = {**vars(models.Model)}
    connect(post_save, takes_changes, sender=shop)
    assert {**vars(models.Model)} == before


def test_the_methods_of_a_watched_model_keep_their_signatures(connect, shop):
    connect(post_save, takes_changes, sender=shop)
    methods = [getattr(shop, name) for name in sorted(HOOKS)]
    assert [(one.__name__, one.__doc__) for one in methods] == [
        (one.__name__, one.__doc__) for one in (getattr(models.Model, name) for name in sorted(HOOKS))
    ]


def test_a_model_is_left_alone_again_when_its_last_receiver_is_disconnected(shop):
    def other(changes, **kwargs):
        """A receiver."""

    post_save.connect(takes_changes, sender=shop)
    pre_save.connect(other, sender=shop)
    post_save.disconnect(takes_changes, sender=shop)
    assert hooks(shop) == HOOKS
    pre_save.disconnect(other, sender=shop)
    assert hooks(shop) == set()


def test_a_model_is_left_alone_again_when_its_last_receiver_is_gone(shop):
    def local(changes, **kwargs):
        """A receiver."""

    post_save.connect(local, sender=shop)
    del local
    assert hooks(shop) == set()


def test_a_model_is_left_alone_again_when_its_receivers_are_assigned_away(shop):
    before = post_save.receivers
    post_save.connect(takes_changes, sender=shop)
    post_save.receivers = before
    assert hooks(shop) == set()


def test_a_connection_that_is_refused_leaves_the_model_alone(shop):
    with pytest.raises(TypeError):
        post_save.connect(takes_changes, sender=shop, when=changed("name"), writes=["name"])
    assert hooks(shop) == set()


def test_a_model_that_is_collected_with_its_receiver_leaves_nothing():
    script = """
        import gc
        from django.db import models
        from heliograph import changed
        from heliograph.changes.plans import PLANS
        from heliograph.signals import post_save

        def record(changes, **kwargs):
            pass

        def watched():
            class Shop(models.Model):
                class Meta:
                    app_label = "shop"
            post_save.connect(record, sender=Shop)
            post_save.disconnect(record, sender=Shop)

        watched()
        gc.collect()
        report(len(PLANS))
    """
    assert run(script) == [0]


SHARED = """
import gc
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.query_utils import DeferredAttribute
from heliograph import changed
from heliograph.signals import post_save

class Order(models.Model):
    status = models.CharField(max_length=10)

    class Meta:
        app_label = "shop"

def photograph():
    return [{**vars(owner)} for owner in (models.Model, Order, BaseDatabaseWrapper, DeferredAttribute)]

def record(**kwargs):
    pass

before = photograph()
"""


def test_nothing_is_patched_for_receivers_that_ask_for_nothing():
    script = "post_save.connect(record, sender=Order); report(photograph() == before)"
    assert run(SHARED + script) == [True]


def test_connections_are_watched_as_long_as_a_model_is():
    script = """
        post_save.connect(record, sender=Order, when=changed("status"))
        report(photograph() == before)
        post_save.disconnect(record, sender=Order)
        gc.collect()
        report(photograph() == before)
    """
    assert run(SHARED + dedent(script)) == [False, True]


def test_nothing_stays_patched_when_a_receiver_of_all_models_leaves():
    script = """
        post_save.connect(record, when=changed("status"))
        report(photograph() == before)
        post_save.disconnect(record)
        gc.collect()
        report(photograph() == before)
    """
    assert run(SHARED + dedent(script)) == [False, True]


@pytest.mark.parametrize(
    "options", ["{}", "{'sender': models.Model, 'subclasses': True}"], ids=["anybody", "all models"]
)
def test_nothing_stays_patched_when_a_receiver_of_all_models_leaves_that_was_called(options):
    script = f"""
        post_save.connect(record, when=changed(), **{options})
        post_save.send(sender=Order, instance=Order())
        post_save.disconnect(record, **{options})
        gc.collect()
        report(photograph() == before)
    """

    assert run(SHARED + dedent(script)) == [True]


def life(model):
    """Do with a model what can be done, and return the statements."""

    def live():
        instance = model.objects.create(name="Ada")
        instance.name = "Grace"
        instance.save()
        instance.save(update_fields=["name"])
        instance.refresh_from_db()
        deferred = model.objects.only("id").get(pk=instance.pk)
        deferred.name = "Hedy"
        deferred.save()
        model(pk=instance.pk, name="Ida").save()
        instance.delete()

    return [re.sub(r"\d+", "N", sql) for sql in statements(live)]


@database
def test_a_model_that_nobody_watches_sends_the_same_statements(changes_for):
    before = life(Genre)
    changes_for(post_save, sender=Writer, fetch="always")
    assert life(Genre) == before


@database
def test_a_model_that_is_watched_sends_the_same_statements(changes_for):
    before = life(Genre)
    changes_for(post_save, sender=Genre)
    changes_for(pre_save, sender=Genre, when=changed("name"))
    assert life(Genre) == before


@database
def test_a_model_of_another_package_can_be_watched(changes_for):
    user_model = get_user_model()
    got = changes_for(post_save, sender=user_model, when=changed("email", "password"))
    user = user_model.objects.create_user("ada", "ada@example.com")
    user.email = "countess@example.com"
    user.save()
    assert got == [{"email": ("ada@example.com", "countess@example.com")}]


@database
def test_logging_in_changes_what_it_changes(changes_for, client):
    user_model = get_user_model()
    got = changes_for(post_save, sender=user_model)
    user = user_model.objects.create_user("ada", "ada@example.com", "secret")
    client.force_login(user)
    assert [[*changes] for changes in got] == [[], ["last_login"]]
