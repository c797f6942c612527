"""Passwords and other secrets are not stored in a payload."""

import pytest
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
from django.db.models import F
from django.db.models.signals import post_delete, post_save

from heliograph import UNKNOWN, Durable, changed
from heliograph.outbox.models import Delivery
from heliograph.outbox.outcomes import Succeeded
from heliograph.outbox.work.runner import drain
from heliograph.signals import pre_update
from tests.app.models import Article, Country, Genre, Ware
from tests.helpers.attempts import sent
from tests.helpers.payloads import all_texts, change, text, travelled

pytestmark = pytest.mark.django_db(databases=["default", "other"])

# What each of these makes is never stored of a field named password, and is a text like others elsewhere.
HASHES = {
    "of the settings": make_password("secret", salt="salt"),
    "of Django's default": "pbkdf2_sha256$1000000$salt$Zm9vYmFyYmF6Zm9vYmFyYmF6Zm9vYmFyYmF6Zm9vYmE=",
    "of Argon2": "argon2$argon2id$v=19$m=102400,t=2,p=8$c2FsdHNhbHQ$Zm9vYmFyYmF6Zm9vYmFy",
    "of Argon2 alone": "$argon2id$v=19$m=102400,t=2,p=8$c2FsdHNhbHQ$Zm9vYmFyYmF6Zm9vYmFy",
    "of bcrypt": "bcrypt_sha256$$2b$12$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234",
    "of bcrypt alone": "$2b$12$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234",
    "of a visitor": "md5$a$b",
}

each_hash = pytest.mark.parametrize("hashed", HASHES.values(), ids=HASHES)


def test_o4_the_change_of_a_password_is_stored_and_neither_of_its_values(changes_for):
    received = changes_for(changed("password"), sender=User)
    user = User.objects.create_user("a", password="old")
    first = user.password
    user.set_password("new")
    user.save()
    assert (first in text(), user.password in text()) == (False, False)
    drain()
    assert received == [{"password": (UNKNOWN, UNKNOWN)}]


def test_o4_a_password_is_deferred_in_a_user_who_was_deleted(store):
    received = store(post_delete, sender=User)
    user = User.objects.create_user("a", password="secret")
    hashed = user.password
    user.delete()
    assert hashed not in text()
    drain()
    gone = received[0]["instance"]
    assert (gone.username, gone.get_deferred_fields()) == ("a", {"password"})


def test_nor_is_it_there_when_users_are_deleted_by_a_query(store):
    received = store(post_delete, sender=User)
    hashed = User.objects.create_user("a", password="secret").password
    User.objects.all().delete()
    assert hashed not in text()
    drain()
    assert received[0]["instance"].get_deferred_fields() == {"password"}


def test_nor_in_a_batch(batches):
    received = batches(post_delete, sender=User)
    user = User.objects.create_user("a", password="secret")
    hashed = user.password
    user.delete()
    assert hashed not in text()
    drain()
    assert received[0].deleted[0].get_deferred_fields() == {"password"}


def test_a_batch_says_that_a_password_is_changed_and_neither_of_its_values(batches):
    received = batches(post_save, sender=User, when=changed("password"))
    user = User.objects.create_user("a", password="old")
    hashed = user.password
    user.set_password("new")
    user.save()
    assert (hashed in text(), user.password in text()) == (False, False)
    drain()
    assert received[0].changes("password") == [(user.pk, UNKNOWN, UNKNOWN)]


@each_hash
def test_a_text_that_looks_like_a_hash_is_in_changes(changes_for, hashed):
    received = changes_for(changed("title"))
    change(Article.objects.create(title="a"), title=hashed)
    drain()
    assert received == [{"title": ("a", hashed)}]


@each_hash
def test_a_text_that_looks_like_a_hash_is_there_in_a_row_that_is_gone(store, hashed):
    received = store(post_delete, sender=Article)
    Article.objects.create(title=hashed, labels=[hashed]).delete()
    drain()
    assert (received[0]["instance"].title, received[0]["instance"].labels) == (hashed, [hashed])


@each_hash
@pytest.mark.parametrize("wrap", [str, lambda one: [one], lambda one: {one: (one,)}], ids=["plain", "list", "dict"])
def test_a_text_that_looks_like_a_hash_is_sent_as_any_other(store, hashed, wrap):
    assert travelled(store, wrap(hashed)) == wrap(hashed)


@each_hash
def test_a_text_that_looks_like_a_hash_may_be_the_key_of_an_order(store, hashed):
    store(sent, Durable(key="title"))
    sent.send(sender=None, using="default", title=hashed)
    assert Delivery.objects.get().key == hashed


@each_hash
def test_nothing_of_a_field_named_password_is_stored(changes_for, store, hashed):
    changes_for(changed("password"), sender=User)
    store(post_delete, sender=User)
    user = User.objects.create(username="a", password="!")
    User.objects.filter(pk=user.pk).update(password=hashed)
    user.refresh_from_db()
    change(user, password="$2b$other")
    user.delete()
    assert not any(one in all_texts() for one in (hashed, "$2b$other", '"!"'))


@pytest.mark.parametrize("key", ["instance.password", "password", "instance.api_token"])
def test_a_secret_is_no_key_of_an_order(key):
    with pytest.raises(
        ValueError, match=r"record_any .*would store a secret\. HELIOGRAPH\['SENSITIVE_FIELDS'\] says so"
    ):
        sent.connect(record_any, delivery=Durable(key=key))


def record_any(sender, **kwargs):
    """A receiver."""


@pytest.mark.parametrize(
    "name", ["password", "password1", "secret", "access_token", "stripe_api_key", "PASSWORD", "old_password"]
)
def test_a_sensitive_name_of_a_payload_is_left_out(store, name):
    received = store(sent)
    sent.send(sender=None, using="default", **{name: "the value"})
    assert "the value" not in text()
    assert drain() == [Succeeded()]
    assert name not in received[0]


@pytest.mark.parametrize("name", ["passwords", "token_count", "keywords", "author", "key", "secretary", "passport"])
def test_a_name_that_only_resembles_a_sensitive_one_is_stored(store, name):
    received = store(sent)
    sent.send(sender=None, using="default", **{name: "the value"})
    drain()
    assert received[0][name] == "the value"


def wants_token(sender, token="", **kwargs):
    """A receiver."""


def test_a_receiver_that_asks_for_a_sensitive_name_is_refused_when_it_is_connected():
    with pytest.raises(
        TypeError,
        match=r"wants_token .*asks for 'token', which is never stored for delivery=Durable\(\)\."
        r" HELIOGRAPH\['SENSITIVE_FIELDS'\] says so: leave it out and read what you need in the receiver, or change",
    ):
        sent.connect(wants_token, delivery=Durable())


def test_a_receiver_may_have_a_parameter_with_a_sensitive_name_that_its_signal_never_sends(connect):
    connect(post_save, wants_token, sender=Article, delivery=Durable())
    Article.objects.create()
    assert drain() == [Succeeded()]


def test_the_settings_say_which_names_are_sensitive(store, settings):
    settings.HELIOGRAPH = {"SENSITIVE_FIELDS": ["iban"]}
    received = store(sent)
    sent.send(sender=None, using="default", iban="DE02", token="t")
    drain()
    assert ("iban" in received[0], received[0]["token"]) == (False, "t")


def test_the_settings_may_name_one_field_of_one_model(store, settings):
    settings.HELIOGRAPH = {"SENSITIVE_FIELDS": ["app.Article.title"]}
    received = store(post_delete)
    Article.objects.create(title="a").delete()
    Genre.objects.create(name="b").delete()
    drain()
    article, genre = (one["instance"] for one in received)
    assert ("title" in article.get_deferred_fields(), genre.name) == (True, "b")


def test_a_primary_key_is_stored_whatever_its_name(store, settings):
    settings.HELIOGRAPH = {"SENSITIVE_FIELDS": ["code"]}
    received = store(post_delete, sender=Country)
    Country.objects.create(code="de", name="Germany").delete()
    drain()
    assert (received[0]["instance"].pk, received[0]["instance"].name) == ("de", "Germany")


def test_a_password_that_a_query_sets_is_unknown_in_its_changes(changes_for):
    user = User.objects.create_user("a", password="old")
    received = changes_for(changed("password"), sender=User, bulk=True)
    hashed = make_password("new")
    User.objects.filter(pk=user.pk).update(password=hashed)
    assert (hashed in text(), user.password in text()) == (False, False)
    drain()
    assert received == [{"password": (UNKNOWN, UNKNOWN)}]


def test_a_secret_in_the_values_of_an_update_is_unknown(store):
    received = store(pre_update, sender=User)
    hashed = make_password("new")
    User.objects.update(password=hashed, first_name="Ada")
    assert hashed not in text()
    drain()
    assert received[0]["values"] == {"password": UNKNOWN, "first_name": "Ada"}


def test_so_is_what_the_database_computes(store):
    received = store(pre_update, sender=Ware)
    Ware.objects.update(stock=F("stock") + 1)
    drain()
    assert received[0]["values"] == {"stock": UNKNOWN}


def test_a_user_who_is_saved_travels_without_a_password(store):
    store(post_save, sender=User)
    user = User.objects.create_user("a", password="secret")
    assert user.password not in text()
