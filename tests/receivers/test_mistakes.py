"""Mistakes that people make when they connect a receiver: each ends in an error that says what to do."""

import re
from dataclasses import fields
from functools import partial

import pytest
from django.apps import apps
from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import FieldDoesNotExist
from django.db import models

from heliograph import (
    BeforeCommit,
    Condition,
    Durable,
    OnCommit,
    Retry,
    Signal,
    action,
    changed,
    created,
    exponential,
    fixed,
    has,
    raw,
    receiver,
    update_fields,
)
from heliograph import dispatch as dispatcher
from heliograph.dispatch import option_errors as dispatch_options
from heliograph.dispatch.connecting import Connector
from heliograph.receivers.decorator import OPTIONS
from heliograph.signals import (
    got_request_exception,
    m2m_changed,
    post_delete,
    post_migrate,
    post_save,
    post_update,
    pre_save,
    user_logged_in,
)
from tests.app.models import Article, Genre, Named, Novel, Writer

opened = Signal(name="library.opened")
HERE = re.escape(__file__)
MINE = rf"^tests\.receivers\.test_mistakes\.record \({HERE}:\d+\): "


@Signal.define
def lent(sender, *, novel):
    """A novel was lent."""


def record(sender, **kwargs):
    """A receiver without a fault."""


def without_kwargs(sender, instance):
    """A receiver that Django's next version will break."""


def without_names(sender, /, **kwargs):
    """A receiver that cannot be called by names."""


def asks_for_created(sender, instance, created, **kwargs):
    """A receiver that only post_save can call."""


def asks_for_creted(sender, instance, creted, **kwargs):
    """A receiver with a slip of the pen."""


def is_long(instance):
    return True


def asks_for_row(row, **kwargs):
    return True


async def is_late(**kwargs):
    return True


class Library:
    def record(self, sender, **kwargs):
        """A receiver that is a method."""


class Heavy(Condition):
    def holds(self, payload):
        return True


class Empty(Condition):
    """A condition that does not say when it holds."""


def on_save(function=record, **options):
    receiver(post_save, **{"sender": Writer, **options})(function)


def wrong(mistake, message, error=TypeError):
    return mistake, message, error


OPTIONS_THAT_DO_NOT_EXIST = [
    wrong(lambda: on_save(wehn=created), MINE + r"receiver\(\) has no option 'wehn'\. Did you mean 'when'\? It takes"),
    wrong(lambda: on_save(condition=created), MINE + r"receiver\(\) has no option 'condition'\. Did you mean 'when'\?"),
    wrong(lambda: on_save(priority=1), MINE + r"receiver\(\) has no option 'priority'\. Did you mean 'order'\?"),
    wrong(lambda: on_save(model=Writer), MINE + r"receiver\(\) has no option 'model'\. Did you mean 'sender'\?"),
    wrong(lambda: on_save(database="x"), MINE + r"receiver\(\) has no option 'database'\. Did you mean 'using'\?"),
    wrong(lambda: on_save(uid="x"), MINE + r"receiver\(\) has no option 'uid'\. Did you mean 'dispatch_uid'\?"),
    wrong(
        lambda: on_save(batch=True),
        MINE + r"receiver\(\) has no option 'batch'\. Write delivery=OnCommit\(batch=True\) instead\.",
    ),
    wrong(lambda: on_save(retry=3), MINE + r".* no option 'retry'\. Write delivery=Durable\(retry=\.\.\.\) instead\."),
    wrong(lambda: on_save(queue="x"), MINE + r".* no option 'queue'\. Write delivery=Durable\(queue=\.\.\.\) instead"),
    wrong(
        lambda: on_save(retries=3),
        MINE + r".* no option 'retries'\. Write delivery=Durable\(retry=Retry\(attempts=\.\.\.\)\) instead\.",
    ),
    wrong(lambda: on_save(created=True), MINE + r".* no option 'created'\. Write when=created instead\."),
    wrong(
        lambda: on_save(update_fields=["name"]),
        MINE + r".* no option 'update_fields'\. Write when=update_fields\('status'\) instead\.",
    ),
    wrong(lambda: on_save(to="x"), MINE + r".* no option 'to'\. Write when=changed\('status', to=\.\.\.\) instead\."),
    wrong(
        lambda: post_save.connect(record, sender=Writer, wehn=created),
        MINE + r"post_save\.connect\(\) has no option 'wehn'\. Did you mean 'when'\? It takes receiver, sender, weak,",
    ),
    wrong(
        lambda: post_save.connect(record, sender="app.NotLoaded", wehn=created),
        MINE + r"post_save\.connect\(\) has no option 'wehn'",
    ),
    wrong(
        lambda: post_save.disconnect(record, sendr=Writer),
        MINE + r"post_save\.disconnect\(\) has no option 'sendr'\. Did you mean 'sender'\?",
    ),
    wrong(
        lambda: opened.connect(record, using="default"),
        MINE + r"<Signal library\.opened>\.connect\(\) has no option 'using'\. Write @receiver\(signal, using=\.\.\.\)",
    ),
    wrong(
        lambda: opened.disconnect(record, sendr="x"),
        MINE + r"<Signal library\.opened>\.disconnect\(\) has no option 'sendr'\. Did you mean 'sender'\?",
    ),
    wrong(
        lambda: post_update.connect(record, sender=Writer, wehn=1),
        MINE + r"post_update\.connect\(\) has no option 'wehn'\. Did you mean 'when'\?",
    ),
    wrong(
        lambda: post_update.disconnect(record, sendr=Writer),
        MINE + r"post_update\.disconnect\(\) has no option 'sendr'\. Did you mean 'sender'\?",
    ),
    wrong(
        lambda: dispatcher.receiver(opened, wehn=1)(record),
        MINE + r"receiver\(\) has no option 'wehn'\. Did you mean 'when'\?",
    ),
    wrong(lambda: OnCommit(bach=True), r"^OnCommit\(\) has no option 'bach'\. Did you mean 'batch'\? It takes batch"),
    wrong(
        lambda: BeforeCommit(when=created),
        r"^BeforeCommit\(\) has no option 'when'\. Write @receiver\(signal, when=\.\.\.\) instead\."
        r" It takes batch, last\.$",
    ),
    wrong(lambda: OnCommit(True, True), r"^OnCommit\(\) cannot be called so: too many .* It takes batch\.$"),
    wrong(
        lambda: Durable(retries=3),
        r"^Durable\(\) has no option 'retries'\. Write delivery=Durable\(retry=Retry\(attempts=\.\.\.\)\) instead\."
        r" It takes batch, queue, retry, key, atomic, backend, missing, aliases, warn_after, give_up_after\.$",
    ),
    wrong(lambda: Durable(queu="mail"), r"^Durable\(\) has no option 'queu'\. Did you mean 'queue'\?"),
    wrong(
        lambda: Durable(False, "mail"),
        r"^Durable\(\) cannot be called so: too many positional arguments\. It takes batch, queue=\.\.\., retry=",
    ),
    wrong(
        lambda: Retry(max_attempts=3),
        r"^Retry\(\) has no option 'max_attempts'\. Did you mean 'attempts'\? It takes attempts, backoff, jitter, on,",
    ),
    wrong(lambda: Retry(queue="x"), r"^Retry\(\) has no option 'queue'\. Write delivery=Durable\(queue=\.\.\.\) inst"),
    wrong(lambda: exponential(frist=1), r"^exponential\(\) has no option 'frist'\. Did you mean 'first'\?"),
    wrong(fixed, r"^fixed\(\) cannot be called so: missing a required argument: 'seconds'\. It takes seconds\.$"),
    wrong(lambda: changed("name", old="x"), r"^changed\(\) has no option 'old'\. Did you mean 'was'\?"),
    wrong(lambda: changed(name="x"), r"^changed\(\) has no option 'name'\. It takes \*fields, was, to\.$"),
    wrong(lambda: update_fields(fields=["x"]), r"^update_fields\(\) has no option 'fields'\. Did you mean '\*fields'"),
]

CALLS_OF_THE_DECORATOR = [
    wrong(
        lambda: receiver(post_save, Writer)(record),
        r"^receiver\(\) cannot be called so: too many positional arguments\."
        r" It takes signal, options by their names, such as sender=Order\.$",
    ),
    wrong(
        lambda: receiver(sender=Writer)(record),
        r"^receiver\(\) cannot be called so: missing a required argument: 'signal'",
    ),
    wrong(
        lambda: receiver(record),
        r"^receiver\(\) takes a signal, or a list of them, not <function record at .*>\. Write @receiver\(signal, "
        r"sender",
    ),
    wrong(lambda: receiver(Writer)(record), r"^receiver\(\) takes a signal, or a list of them, not <class .*Writer'>"),
    wrong(lambda: receiver("post_save")(record), r"^receiver\(\) takes a signal, or a list of them, not 'post_save'"),
    wrong(lambda: receiver({post_save})(record), r"^receiver\(\) takes a signal, or a list of them, not {<Signal "),
    wrong(
        lambda: receiver([])(record), r"^receiver\(\[\]\) names no signal\. Write @receiver\(signal, sender=\.\.\.\)"
    ),
    wrong(
        lambda: post_save.connect(sender=Writer),
        r"^connect\(\) takes a receiver first: connect\(receiver, send",
    ),
]

RECEIVERS = [
    wrong(lambda: on_save("app.record"), r"^Signal receivers must be callable\. 'app\.record' is not"),
    wrong(lambda: on_save(without_kwargs), r"^Signal receivers must accept keyword arguments", ValueError),
    wrong(
        lambda: on_save(without_names),
        rf"^Signal receivers are called with names only\. .*without_names \({HERE}:\d+\) takes 'sender' without one:"
        r" take the '/' out of its parameters\.$",
        ValueError,
    ),
    wrong(
        lambda: on_save(Library.record),
        rf"Library\.record \({HERE}:\d+\) asks for 'self', which .*post_save never sends; .* as a method of an "
        r"instance: post_save\.connect\(instance\.method, \.\.\.\); or make it a function\.$",
    ),
    wrong(
        lambda: receiver(pre_save, sender=Writer)(asks_for_created),
        r"asks_for_created .* asks for 'created', which django\.db\.models\.signals\.pre_save never sends; it sends"
        r" sender, instance, raw, using, update_fields\. Rename the parameter, give it a default, or take it away\.$",
    ),
    wrong(lambda: on_save(asks_for_creted), r"asks for 'creted', which .* never sends; .* Did you mean 'created'\?"),
    wrong(lambda: post_save.connect(asks_for_creted, sender=Writer), r"asks for 'creted', .*Did you mean 'created'\?"),
    wrong(lambda: lent.connect(asks_for_created), r"asks for 'instance', which .*\.lent never sends; it sends sender,"),
    wrong(
        lambda: on_save(delivery=OnCommit(batch=True)),
        r"has no parameter named batch, which delivery=OnCommit\(batch=True\) gives it: add the parameter, or leave",
    ),
    wrong(lambda: on_save(fetch=True), r"^fetch= asks for old values of no field: add when=changed\(\.\.\.\) or a par"),
]

CONDITIONS = [
    wrong(
        lambda: on_save(when=created and changed("name")),
        r"^created has no truth value: it is asked at each send\. Combine conditions with &, \| and ~",
    ),
    wrong(lambda: on_save(when=not created), r"^created has no truth value"),
    wrong(
        lambda: on_save(when=changed),
        r"^when= takes a function with \*\*kwargs, since all that is sent goes to it\. heliograph\.conditions\.changed"
        r" .* has none\. Call it: when=changed\(\.\.\.\)\.$",
        ValueError,
    ),
    wrong(lambda: on_save(when=created()), r"^created is a condition already: write when=created, without the brac"),
    wrong(lambda: on_save(when=[created]), r"^when= takes .* not \[created\]\. Combine .* with & or \|\.$"),
    wrong(lambda: on_save(when=True), r"^when= takes a condition, such as created, .* not True\.$"),
    wrong(lambda: on_save(when=False), r"^when= takes a condition, .* not False\.$"),
    wrong(lambda: on_save(when="created"), r"^when= takes .* not 'created'\. A condition is written without quotes\.$"),
    wrong(lambda: on_save(when=Heavy), r"^when= takes a condition, not a class of them: write when=Heavy\(\.\.\.\)"),
    wrong(lambda: on_save(when=Empty()), r"^Empty must define holds\(payload\)\.$", NotImplementedError),
    wrong(
        lambda: on_save(when=is_long),
        rf"since all that is sent goes to it\. .*is_long \({HERE}:\d+\) has none\. Add them to its parameters\.$",
        ValueError,
    ),
    wrong(lambda: on_save(when=~created & is_long), r"is_long .* has none\. Add them", ValueError),
    wrong(
        lambda: on_save(when=asks_for_row),
        rf"^when=.*asks_for_row \({HERE}:\d+\) asks for 'row', which .*post_save never sends; it sends sender, instanc",
    ),
    wrong(
        lambda: lent.connect(record, when=asks_for_row), r"asks for 'row', which .*lent never sends; it sends sender"
    ),
    wrong(lambda: on_save(when=is_late), r"^when= takes a function that answers at once, and .*is_late .* is async"),
    wrong(lambda: on_save(when=changed("naem")), r"has no field 'naem'\. Did you mean 'name'\?", FieldDoesNotExist),
    wrong(lambda: action("post_set"), r"^action\('post_set'\): m2m_changed has the actions pre_add", ValueError),
    wrong(
        lambda: receiver(post_delete, sender=Writer, when=update_fields("name"))(record),
        r"^update_fields\('name'\) asks for 'update_fields', which post_delete does not send",
    ),
]

VALUES = [
    wrong(lambda: on_save(order="first"), r"^order= takes a whole number, not 'first'\.$"),
    wrong(lambda: on_save(order=True), r"^order= takes a whole number, not True\.$"),
    wrong(lambda: on_save(order=float("nan")), r"^order= takes a whole number, not nan\.$"),
    wrong(
        lambda: post_save.connect(record, sender="app.NotLoaded", order="x"), r"^order= takes a whole number, not 'x'"
    ),
    wrong(lambda: opened.connect(record, order="first"), r"^order= takes a whole number, not 'first'\.$"),
    wrong(lambda: post_update.connect(record, order="first"), r"^order= takes a whole number, not 'first'\.$"),
    wrong(lambda: on_save(weak="no"), r"^weak= takes True or False, not 'no'\.$"),
    wrong(lambda: on_save(dispatch_uid=["x"]), r"^dispatch_uid= takes a value with a hash, such as a text, not \['x'"),
    wrong(lambda: opened.disconnect(dispatch_uid=["x"]), r"^dispatch_uid= takes a value with a hash"),
    wrong(lambda: on_save(reentrant=True), r"^reentrant= takes 'allow', 'skip' or 'raise', not True", ValueError),
    wrong(lambda: on_save(subclasses="yes"), r"^subclasses= takes True or False, not 'yes'\.$"),
    wrong(lambda: on_save(blocking="no"), r"^blocking= takes True or False, not 'no'\.$"),
    wrong(lambda: on_save(bulk="yes"), r"^bulk= takes True or False, not 'yes'\.$"),
    wrong(lambda: on_save(delivery=OnCommit), r"^delivery= takes a delivery policy .* Write OnCommit\(\)\.$"),
    wrong(lambda: on_save(delivery="commit"), r"^delivery= takes a delivery policy .* or Durable\(\), not 'commit'"),
    wrong(lambda: on_save(using="replica"), r"^using='replica': there is no such database", ValueError),
    wrong(lambda: on_save(using=1), r"^using= takes a name, or a list of names, not 1\.$"),
    wrong(lambda: receiver(pre_save, sender=Writer, writes=True)(record), r"^writes= takes a name, or a list of names"),
    wrong(lambda: receiver(pre_save, sender=Writer, writes=[1])(record), r"^writes= takes names, not 1\.$"),
    wrong(lambda: on_save(apps=3), r"^apps= takes a registry of apps, such as django\.apps\.apps, not 3\.$"),
    wrong(lambda: Durable("mail"), r"^Durable\(batch=\.\.\.\) takes True or False, not 'mail'\.$"),
    wrong(lambda: Durable(retry=3), r"^Durable\(retry=\.\.\.\) takes Retry\(\.\.\.\), not 3\.$"),
    wrong(
        lambda: on_save(lambda batch, **kwargs: None, weak=False, delivery=Durable(batch=True, key="instance.pk")),
        r"there is no 'instance' for delivery=Durable\(batch=True, key='instance\.pk'\) in a call\. A batch is one"
        r" call for everything in a transaction: leave batch=True out, or the key\.$",
    ),
    wrong(
        lambda: on_save(delivery=Durable(key="order.pk")),
        r"there is no 'order' for delivery=Durable\(key='order\.pk'\) in a call\. It sends instance, created,",
    ),
    wrong(
        lambda: on_save(delivery=Durable(key="name")),
        r"there is no 'name' for delivery=Durable\(key='name'\) in a call\. Write key='instance\.name'\.$",
    ),
    wrong(lambda: on_save(delivery=Durable(key=is_long)), r"^Durable\(key=\.\.\.\) takes a function with", ValueError),
]

SENDERS = [
    wrong(
        lambda: on_save(sender=Writer(pk=5)),
        MINE + r"sender=<Writer pk=5> never sends post_save\. Pass its class, Writer; for this row only, add"
        r" when=lambda instance, \*\*kwargs: instance\.pk == 5\.$",
    ),
    wrong(lambda: on_save(sender=Writer()), MINE + r".*<Writer pk=None> never sends .* Pass its class, Writer\.$"),
    wrong(lambda: on_save(sender=[]), MINE + r"sender=\[\] names nobody\. Leave it out to receive from every sender\."),
    wrong(lambda: on_save(sender=()), MINE + r"sender=\(\) names nobody\."),
    wrong(lambda: opened.connect(record, sender=[]), MINE + r"sender=\[\] names nobody\."),
    wrong(lambda: on_save(sender=[Writer, None]), MINE + r".*: None is every sender\. Leave the others out, or None\."),
    wrong(lambda: on_save(sender={Writer}), MINE + r"sender={.*} never sends post_save\. Pass a list of models\.$"),
    wrong(lambda: on_save(sender=[[Writer]]), MINE + r".* never sends post_save\. Pass a list of models\.$"),
    wrong(lambda: on_save(sender=Writer.objects), MINE + r"sender=<Manager of Writer> .* Pass its model: sender=W"),
    wrong(
        lambda: on_save(sender=Writer.objects.all()), MINE + r"sender=<QuerySet of Writer> .* Pass its model: sender="
    ),
    wrong(lambda: on_save(sender=Novel.writer), MINE + r".* Pass its model: sender=Novel\.$"),
    wrong(lambda: on_save(sender=Novel._meta.get_field("writer")), MINE + r".* Pass its model: sender=Novel\.$"),
    wrong(lambda: on_save(sender=apps.get_app_config("app")), MINE + r".* Pass models: sender=\[\*app_config\.get_mod"),
    wrong(lambda: on_save(sender=ContentType(pk=1)), MINE + r".* Pass its model: sender=content_type\.model_class\(\)"),
    wrong(
        lambda: receiver(m2m_changed, sender=Novel.genres)(record),
        MINE + r".* never sends m2m_changed\. Pass the model between: sender=Novel_genres, which is the attribute 'thr",
    ),
    wrong(
        lambda: on_save(sender=Named),
        MINE + r"sender=app\.Named never sends post_save\. It is abstract; to receive from the models that inherit from"
        r" it, pass subclasses=True\.$",
    ),
    wrong(
        lambda: on_save(sender=models.Model),
        MINE + r"sender=.*Model.* never sends post_save\. It is no model by itself; to receive from all models, leave"
        r" sender= out\.$",
    ),
    wrong(
        lambda: on_save(sender=get_user_model), MINE + r".* It is a function\. .* call it: sender=get_user_model\(\)"
    ),
    wrong(lambda: on_save(sender=1), MINE + r"sender=1 never sends post_save\. Pass a model, such as sender=Order, or"),
    wrong(lambda: on_save(sender="Writer"), r"^Invalid model reference 'Writer'\. String model refer", ValueError),
    wrong(
        lambda: post_save.disconnect(record, sender=Writer()), MINE + r"sender=<Writer pk=None> never sends post_save"
    ),
    wrong(
        lambda: post_update.connect(record, sender=Writer(pk=5)), MINE + r".* post_update\. Pass its class, Writer\.$"
    ),
    wrong(lambda: post_update.disconnect(record, sender=Writer()), MINE + r".* never sends post_update\."),
    wrong(
        lambda: receiver(user_logged_in, sender="auth.User")(record),
        MINE + r"sender='auth\.User' never sends user_logged_in\. Classes send it: pass the class, not its name\.$",
    ),
    wrong(lambda: user_logged_in.connect(record, sender=User(pk=1)), MINE + r".* pass the class, not an instance\.$"),
    wrong(lambda: got_request_exception.connect(record, Writer), MINE + r".* without a sender: leave sender= out\.$"),
    wrong(lambda: receiver(post_migrate, sender="ap")(record), MINE + r".* Did you mean 'app'\?$", ValueError),
    wrong(
        lambda: receiver(post_migrate, sender="usres")(record),
        MINE + r"sender='usres' is no installed app, and apps send post_migrate\. There are admin, app, auth,",
        ValueError,
    ),
    wrong(
        lambda: receiver(post_migrate, sender=Writer)(record),
        MINE + r"sender=app\.Writer never sends post_migrate, which apps send\. Pass its app: sender='app'\.$",
    ),
]

ALL = [
    *OPTIONS_THAT_DO_NOT_EXIST,
    *CALLS_OF_THE_DECORATOR,
    *RECEIVERS,
    *CONDITIONS,
    *VALUES,
    *SENDERS,
]


@pytest.mark.parametrize(("mistake", "message", "error"), ALL, ids=range(1, len(ALL) + 1))
def test_d5_a_mistake_is_refused_where_it_is_typed_with_the_way_out(mistake, message, error):
    with pytest.raises(error, match=message):
        mistake()
    signals = (post_save, pre_save, post_delete, post_migrate, post_update, m2m_changed, opened, lent, user_logged_in)
    assert [signal for signal in signals if any(row[0][0] == id(record) for row in signal.receivers)] == []


def test_the_errors_know_where_every_option_is_written():
    written = {name for names in dispatch_options._WRITTEN.values() for name in names.split()}
    of_policies = {field.name for policy in (OnCommit, Durable, Retry) for field in fields(policy)}
    assert {*OPTIONS} | of_policies <= written
    assert {*Connector.connect_names} - {"receiver", "call", "facts"} <= {*OPTIONS}


def test_a_tool_that_adds_names_to_a_receiver_is_believed(connect):
    import functools

    def inject(function):
        @functools.wraps(function)
        def injected(**kwargs):
            return function(service="mail", **kwargs)

        return injected

    @inject
    def mail(sender, service, **kwargs):
        return service

    connect(post_save, mail, sender=Writer)
    assert [response for _, response in post_save.send(sender=Writer, instance=None)] == ["mail"]


def test_a_callable_that_does_not_show_its_parameters_is_believed_as_a_condition(listen):
    received = listen(opened, when=partial(dict, is_asked=True))
    opened.send(sender=None)
    assert len(received) == 1


def test_d5_a_receiver_of_a_relation_that_is_connected_to_one_of_its_sides_is_found_by_a_check(connect):
    from heliograph.checks import check_relations

    before = check_relations(None)
    connect(m2m_changed, record, sender=Genre)
    (found,) = [error for error in check_relations(None) if error not in before]
    assert (found.id, found.msg) == (
        "heliograph.E005",
        "app.Genre never sends m2m_changed: the model between the two sides does.",
    )
    assert found.hint == "Pass sender='app.Novel_genres'."


def test_a_receiver_of_the_model_between_the_sides_of_a_relation_passes_the_check(connect):
    from heliograph.checks import check_relations

    before = check_relations(None)
    connect(m2m_changed, record, sender=Novel.genres.through)
    assert check_relations(None) == before


# --- conditions that hold for no deletion -------------------------------------------------------------------------


@pytest.fixture
def unheard(connect):
    """Return a function that says what the check finds in a receiver of saves and deletions with these options."""
    from heliograph.checks import check_deletions

    def found(function=record, **options):
        before = check_deletions(None)
        for signal in (post_save, post_delete):
            connect(signal, function, sender=Article, **options)
        return [(one.id, one.msg) for one in check_deletions(None) if one not in before]

    return found


@pytest.mark.parametrize(
    ("when", "parts"),
    [
        (created, "created is False"),
        (created | changed("words", to=0), "created is False, changed('words', to=0) is False"),
        (raw & changed("words"), "raw is False"),
    ],
)
def test_a_condition_that_holds_for_no_deletion_is_a_warning(unheard, when, parts):
    [(number, text)] = unheard(when=when)
    assert number == "heliograph.W005"
    assert text.startswith(f"post_delete never calls this receiver: when={when!r}, and for a deletion {parts}")


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"when": created | changed("words")},
        {"when": ~created},
        {"when": has(words=1) & (lambda **payload: False)},
        {"when": created, "delivery": BeforeCommit(batch=True), "function": lambda batch, **kwargs: None},
    ],
)
def test_a_condition_that_may_hold_for_a_deletion_is_right(unheard, options):
    assert unheard(**options) == []
