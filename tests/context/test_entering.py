"""`acting` and `context` as blocks and as decorators, and the mistakes that they refuse."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.utils.functional import SimpleLazyObject

from heliograph.context import EMPTY, Actor, acting, context, current
from heliograph.context.declared import DECLARED
from tests.helpers.errors import MishapError, mishap

ADA, BOB = Actor("", "ada"), Actor("", "bob")


def test_nobody_has_given_a_context():
    assert current() is EMPTY
    assert (current().actor, current().reason, current().traceparent) == (None, "", "")


def test_blocks_nest_and_end_with_the_context_that_was_before():
    with acting("ada") as outer:
        with acting("bob"), mishap():
            assert current().actor == BOB
            raise MishapError
        assert current() is outer
    assert current() is EMPTY


def test_one_block_can_be_entered_within_itself():
    ada = acting("ada")
    with ada, acting("bob"), ada:
        assert current().actor == ADA
    assert current() is EMPTY


def test_a_reason_stays_until_another_one_is_given():
    with acting("ada", reason="import"):
        with acting("bob"):
            assert current().reason == "import"
        with acting("bob", reason="repair"):
            assert current().reason == "repair"


def test_nobody_acts_where_somebody_says_so():
    with acting("ada"), acting(None):
        assert current().actor is None


def test_values_stay_in_inner_blocks(tenant):
    with context(tenant="a", correlation_id="c"), acting("ada"), context(request_id="r"):
        found = current()
    assert (found.tenant, found.correlation_id, found.request_id, found.actor) == ("a", "c", "r", ADA)


def test_a_declared_value_that_nobody_gives_is_none(tenant):
    assert current().tenant is None


def test_a_trace_is_made_where_there_is_none():
    with acting("ada") as outer, context(request_id="r") as inner:
        assert inner.traceparent == outer.traceparent
    with acting("ada") as other:
        assert other.traceparent.split("-")[1] != outer.traceparent.split("-")[1]


def test_a_function_is_called_within_the_block():
    @acting("ada", reason="import")
    def who():
        return current().actor, current().reason

    assert who() == (ADA, "import")
    assert current() is EMPTY


async def test_an_async_function_is_called_within_the_block():
    @context(request_id="r")
    async def what():
        return current().request_id

    assert await what() == "r"
    assert current() is EMPTY


def test_one_decorated_function_runs_in_many_threads_at_once():
    start = threading.Barrier(4, timeout=60)

    @acting("ada")
    def who():
        start.wait()
        return current().actor

    with ThreadPoolExecutor(4) as pool:
        assert [*pool.map(lambda _: who(), range(4))] == [ADA] * 4


# --- who it may be ----------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_user_is_a_model_a_key_and_a_label():
    user = User.objects.create(username="ada")
    with acting(user):
        assert (current().actor.model, current().actor.key, current().actor.label) == ("auth.User", str(user.pk), "ada")


@pytest.mark.django_db
def test_a_lazy_user_is_loaded_when_somebody_asks_for_the_actor(django_assert_num_queries):
    user = User.objects.create(username="ada")
    lazy = SimpleLazyObject(lambda: User.objects.get(pk=user.pk))
    with django_assert_num_queries(0), acting(lazy):
        found = current()
    with django_assert_num_queries(1):
        assert found.actor == Actor("auth.User", str(user.pk))
        assert found.actor.label == "ada"


@pytest.mark.parametrize("user", [AnonymousUser(), SimpleLazyObject(AnonymousUser)])
def test_a_user_who_is_not_logged_in_is_nobody(user):
    with acting(user):
        assert current().actor is None


def test_an_actor_may_act_again():
    with acting(Actor("auth.User", "7", "ada")):
        assert current().actor.label == "ada"


def test_actors_with_one_key_are_equal_whatever_they_are_called():
    assert Actor("auth.User", "7", "ada") == Actor("auth.User", "7", "Ada L.")
    assert Actor("auth.User", "7", "ada") != Actor("shop.Customer", "7", "ada")


# --- mistakes ---------------------------------------------------------------------------------------------------


def test_a_user_that_is_not_saved_is_refused_where_it_is_given():
    with pytest.raises(ValueError, match="acting\\(\\) takes a user that is saved, and <User: ada> has no primary key"):
        acting(User(username="ada"))


def test_an_object_that_is_no_user_is_refused():
    with pytest.raises(TypeError, match=r"takes a user, None for nobody, or a text such as 'cron' .* not 7"):
        acting(7)


def test_a_reason_is_a_text():
    with pytest.raises(TypeError, match=r"acting\(reason=...\) takes a text, not 7"):
        acting("ada", reason=7)


def test_an_unknown_name_is_refused_with_the_one_that_is_meant(tenant):
    with pytest.raises(TypeError, match=r"context\(\) has no 'tenat'. Did you mean 'tenant'\?"):
        context(tenat="a")
    with pytest.raises(TypeError, match=r"context\(\) has no 'request'. Did you mean 'request_id'\?"):
        context(request="r")
    with pytest.raises(TypeError, match=r"context\(\) has no 'shop'. Declare it: context.declare\('shop', str\)."):
        context(shop="a")


def test_a_name_that_was_not_declared_is_no_attribute(tenant):
    with pytest.raises(AttributeError, match=r"A context has no 'tenat'. Did you mean 'tenant'\?"):
        _ = current().tenat


def test_a_value_of_another_type_is_refused(tenant):
    with pytest.raises(TypeError, match=r"context\(tenant=...\) is declared as str, and 7 is of another type"):
        context(tenant=7)


@pytest.fixture
def declared():
    before = dict(DECLARED)
    yield context.declare
    DECLARED.clear()
    DECLARED.update(before)


def test_a_bool_is_no_number(declared):
    declared("shop", int)
    with pytest.raises(TypeError, match="declared as int, and True is of another type"):
        context(shop=True)


def test_a_value_that_json_lacks_is_refused(declared):
    declared("flags", list)
    with pytest.raises(TypeError, match="takes values that JSON has, not"):
        context(flags=[object()])


def test_nobody_can_change_a_value_afterwards(declared):
    declared("flags", list)
    flags = ["a"]
    with context(flags=flags):
        flags.append("b")
        assert current().flags == ["a"]


def test_a_name_can_be_declared_twice_with_one_type(declared, tenant):
    declared("tenant", str)
    with pytest.raises(ValueError, match="is declared already, as str"):
        declared("tenant", int)


@pytest.mark.parametrize("name", ["reason", "request_id", "actor", "command", "values"])
def test_a_name_that_every_context_has_is_not_declared(declared, name):
    with pytest.raises(ValueError, match=f"every context has a '{name}' already"):
        declared(name)


@pytest.mark.parametrize("name", ["a b", "_a", ""])
def test_a_name_that_is_no_keyword_argument_is_not_declared(declared, name):
    with pytest.raises(ValueError, match="takes the name of a keyword argument"):
        declared(name)


@pytest.mark.parametrize("name", ["token", "access_token", "password2"])
def test_a_secret_is_not_declared(declared, name):
    with pytest.raises(ValueError, match=r"HELIOGRAPH\['SENSITIVE_FIELDS'\] says that this is never stored"):
        declared(name)


def test_a_type_that_json_lacks_is_not_declared(declared):
    with pytest.raises(TypeError, match="takes a type that JSON has, str, int, float, bool, list, dict, and not"):
        declared("day", bytes)


@pytest.mark.parametrize(
    "text",
    ["", "7", f"00-{'0' * 32}-{'1' * 16}-01", f"00-{'1' * 32}-{'0' * 16}-01", f"ff-{'1' * 32}-{'1' * 16}-01"],
)
def test_a_traceparent_that_is_none_is_refused(text):
    with pytest.raises(ValueError, match="takes the trace and the span as W3C Trace Context has them"):
        context(traceparent=text)


def test_a_generator_is_refused_since_it_runs_after_the_call():
    with pytest.raises(TypeError, match="runs after the call that makes it has returned"):

        @acting("ada")
        def rows():
            yield
