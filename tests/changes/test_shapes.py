"""Changes of models of every shape: proxies, children, bases, names, keys; cases S1 to S6."""

from textwrap import dedent

import pytest
from django.contrib.auth import get_user_model
from django.contrib.contenttypes.models import ContentType
from django.db import connection, models
from django.db.models import Model
from django.test.utils import isolate_apps

from heliograph import UNKNOWN, changed, changes_of, created
from heliograph.signals import post_delete, post_save, pre_save
from tests.app.models import Article, Audiobook, Chapter, Essay, Genre, Named, Novel, Remark, Reprint, Seat, Writer
from tests.helpers.bare import run
from tests.helpers.saves import rename

database = pytest.mark.django_db

committing = pytest.mark.django_db(transaction=True)

on_each_save = pytest.mark.parametrize("signal", [pre_save, post_save], ids=["pre_save", "post_save"])

# --- S1: proxies --------------------------------------------------------------------------------------------------


@database
@on_each_save
def test_s1_a_receiver_of_a_proxy_receives_the_change_of_one_once(changes_for, signal):
    got = changes_for(signal, sender=Reprint, when=changed("name"))
    rename(Reprint)
    assert got == [(Reprint, {"name": ("Tides", "Moons")})]


@database
@on_each_save
def test_s1_a_receiver_of_the_concrete_model_and_its_subclasses_receives_the_change_of_a_proxy_once(
    changes_for, signal
):
    got = changes_for(signal, sender=Novel, subclasses=True, when=changed("name"))
    rename(Reprint)
    assert got == [(Reprint, {"name": ("Tides", "Moons")})]


@database
@on_each_save
def test_a_receiver_of_a_proxy_and_one_of_the_concrete_model_receive_the_change_once_each(changes_for, signal):
    one = changes_for(signal, sender=Reprint, when=changed("name"))
    other = changes_for(signal, sender=Novel, subclasses=True, when=changed("name"))
    rename(Reprint)
    assert one == other == [(Reprint, {"name": ("Tides", "Moons")})]


@database
def test_a_receiver_of_a_proxy_does_not_receive_the_concrete_model(changes_for):
    got = changes_for(post_save, sender=Reprint, when=changed("name"))
    rename(Novel)
    assert got == []


@database
def test_a_receiver_of_the_concrete_model_alone_does_not_receive_a_proxy(changes_for):
    got = changes_for(post_save, sender=Novel, when=changed("name"))
    rename(Reprint)
    assert got == []


@database
def test_a_row_that_is_loaded_as_a_proxy_is_known_where_only_the_proxy_is_watched(changes_for):
    got = changes_for(post_save, sender=Reprint, when=changed("name"))
    Novel.objects.create(name="Tides")
    reprint = Reprint.objects.get()
    reprint.name = "Moons"
    reprint.save()
    assert got == [(Reprint, {"name": ("Tides", "Moons")})]


@database
def test_each_watches_its_own_fields_of_a_proxy_and_its_concrete_model(changes_for):
    got = changes_for(post_save, sender=Reprint, when=changed("name"))
    got_of_novels = changes_for(post_save, sender=Novel, when=changed("writer"))
    ada = Writer.objects.create()
    for model in (Reprint, Novel):
        rename(model, writer=ada)
        instance = model.objects.latest("pk")
        instance.writer = None
        instance.save()
    assert (got, got_of_novels) == (
        [(Reprint, {"name": ("Tides", "Moons")})],
        [(Novel, {"writer": (ada.pk, None)})],
    )


# --- S2: children -------------------------------------------------------------------------------------------------


@database
@on_each_save
def test_s2_a_receiver_of_the_parent_and_its_subclasses_receives_once_that_a_child_has_changed_a_field_of_the_parent(
    changes_for, signal
):
    got = changes_for(signal, sender=Novel, subclasses=True, when=changed("name"))
    rename(Audiobook)
    assert got == [(Audiobook, {"name": ("Tides", "Moons")})]


@database
@on_each_save
def test_a_receiver_of_a_child_receives_once_that_it_has_changed_a_field_of_the_parent(changes_for, signal):
    got = changes_for(signal, sender=Audiobook, when=changed("name", "minutes"))
    audiobook = Audiobook.objects.create(name="Tides", minutes=60)
    audiobook.name, audiobook.minutes = "Moons", 90
    audiobook.save()
    assert got == [(Audiobook, {"name": ("Tides", "Moons"), "minutes": (60, 90)})]


@database
def test_a_field_of_the_child_is_no_change_for_a_receiver_that_watches_one_of_the_parent(changes_for):
    got = changes_for(post_save, sender=Novel, subclasses=True, when=changed("name"))
    audiobook = Audiobook.objects.create(name="Tides", minutes=60)
    audiobook.minutes = 90
    audiobook.save()
    assert got == []


@database
def test_a_receiver_of_the_parent_has_all_fields_of_the_child_where_it_names_none(changes_for):
    got = changes_for(post_save, sender=Novel, subclasses=True)
    audiobook = Audiobook.objects.create(name="Tides", minutes=60)
    audiobook.minutes = 90
    audiobook.save()
    assert got[1:] == [(Audiobook, {"minutes": (60, 90)})]


@database
def test_a_receiver_of_the_parent_alone_does_not_receive_a_child_as_in_django(changes_for):
    got = changes_for(post_save, sender=Novel)
    rename(Audiobook)
    assert got == []


@database
def test_a_child_that_is_loaded_is_known_with_the_fields_of_its_parent(changes_for):
    got = changes_for(post_save, sender=Novel, subclasses=True, when=changed("name"))
    Audiobook.objects.create(name="Tides")
    audiobook = Audiobook.objects.get()
    audiobook.name = "Moons"
    audiobook.save()
    assert got == [(Audiobook, {"name": ("Tides", "Moons")})]


@database
def test_a_child_that_is_saved_without_a_field_of_the_parent_does_not_send_its_change(changes_for):
    got = changes_for(post_save, sender=Novel, subclasses=True, when=changed("name"))
    audiobook = Audiobook.objects.create(name="Tides")
    audiobook.name = "Moons"
    audiobook.save(update_fields=["minutes"])
    assert got == []
    audiobook.save(update_fields=["name"])
    assert got == [(Audiobook, {"name": ("Tides", "Moons")})]


@database
def test_the_parent_of_a_child_is_known_where_it_is_loaded_by_itself(changes_for):
    got = changes_for(post_save, sender=Novel, subclasses=True, when=changed("name"))
    audiobook = Audiobook.objects.create(name="Tides")
    novel = Novel.objects.get(pk=audiobook.pk)
    novel.name = "Moons"
    novel.save()
    assert got == [(Novel, {"name": ("Tides", "Moons")})]


@database
def test_a_child_that_a_row_of_the_parent_gets_is_created(changes_for, listen):
    received = listen(post_save, sender=Novel, subclasses=True, when=created)
    novel = Novel.objects.create(name="Tides")
    Audiobook(novel_ptr=novel, name="Tides", minutes=60).save()
    assert [sender for sender, _ in received] == [Novel, Audiobook]


@database
def test_the_parent_that_is_made_of_a_child_says_that_its_old_values_are_not_known(changes_for):
    got = changes_for(post_save, sender=Novel, when=changed("name"))
    Audiobook.objects.create(name="Tides")
    novel = Audiobook.objects.get().novel_ptr
    novel.name = "Moons"
    novel.save()
    assert got == [(Novel, {"name": (UNKNOWN, "Moons")})]


# --- S3: abstract bases -------------------------------------------------------------------------------------------


@database
@on_each_save
@pytest.mark.parametrize("model", [Writer, Genre, Essay, Novel, Reprint, Audiobook])
def test_s3_a_receiver_of_an_abstract_base_and_its_subclasses_receives_the_change_of_each_model_once(
    changes_for, signal, model
):
    got = changes_for(signal, sender=Named, subclasses=True, when=changed("name"))
    rename(model)
    assert got == [(model, {"name": ("Tides", "Moons")})]


@database
def test_a_receiver_of_an_abstract_base_does_not_receive_other_models(listen):
    received = listen(post_save, sender=Named, subclasses=True, when=~created)
    Article.objects.create().save()
    assert received == []


@pytest.fixture
def late():
    """Define a model with a table, in the middle of a test."""
    made = []

    def define(base):
        class Late(base):
            class Meta:
                app_label = "app"

        with connection.schema_editor() as editor:
            editor.create_model(Late)
        made.append(Late)
        return Late

    with isolate_apps("tests.app"):
        yield define
    for model in made:
        with connection.schema_editor() as editor:
            editor.delete_model(model)


@committing
def test_s3_a_receiver_of_an_abstract_base_receives_the_change_of_a_model_that_is_defined_later(changes_for, late):
    got = changes_for(post_save, sender=Named, subclasses=True, when=changed("name"))
    model = late(Named)
    rename(model)
    assert got == [(model, {"name": ("Tides", "Moons")})]


@committing
def test_a_receiver_of_a_parent_receives_the_change_of_a_child_that_is_defined_later(changes_for, late):
    got = changes_for(post_save, sender=Genre, subclasses=True, when=changed("name"))
    model = late(Genre)
    rename(model)
    assert got == [(model, {"name": ("Tides", "Moons")})]


@committing
def test_a_receiver_of_all_models_receives_the_change_of_a_model_that_is_defined_later(changes_for, late):
    got = changes_for(post_save, when=changed("name"))
    model = late(Named)
    rename(model)
    assert got == [(model, {"name": ("Tides", "Moons")})]


@isolate_apps("tests.app")
def test_an_abstract_base_is_not_watched_itself(changes_for):
    class Base(Model):
        name = models.CharField(max_length=50)

        class Meta:
            abstract = True
            app_label = "app"

    changes_for(post_save, sender=Base, subclasses=True, when=changed("name"))
    assert "from_db" not in vars(Base)


@database
def test_a_receiver_of_model_and_its_subclasses_receives_the_change_of_each_model(changes_for):
    got = changes_for(post_save, sender=Model, subclasses=True, when=changed("name"))
    rename(Writer)
    assert got == [(Writer, {"name": ("Tides", "Moons")})]


# --- S4: names of models ------------------------------------------------------------------------------------------


@database
@on_each_save
def test_a_receiver_of_a_model_that_is_named_receives_its_change(changes_for, signal):
    got = changes_for(signal, sender="app.Writer", when=changed("name"))
    rename(Writer)
    assert got == [(Writer, {"name": ("Tides", "Moons")})]


@database
def test_a_receiver_of_several_models_that_are_named_receives_the_change_of_each(changes_for):
    got = changes_for(post_save, sender=["app.Writer", Genre], when=changed("name"))
    rename(Writer)
    rename(Genre)
    assert [sender for sender, _ in got] == [Writer, Genre]


@database
def test_a_receiver_of_the_user_model_that_the_settings_name_receives_its_change(changes_for, settings):
    got = changes_for(post_save, sender=settings.AUTH_USER_MODEL, when=changed("email"))
    user = get_user_model().objects.create_user("ada")
    user.email = "ada@example.com"
    user.save()
    assert got == [(get_user_model(), {"email": ("", "ada@example.com")})]


@isolate_apps("tests.app")
def test_s4_a_model_that_is_named_is_watched_as_soon_as_it_is_loaded(changes_for):
    changes_for(post_save, sender="app.Late", when=changed("name"))

    class Late(Named):
        class Meta:
            app_label = "app"

    assert "from_db" in vars(Late)


SWAPPED = {
    "INSTALLED_APPS": [
        "django.contrib.contenttypes",
        "django.contrib.auth",
        "tests.helpers.members",
        "heliograph",
    ],
    "AUTH_USER_MODEL": "members.Member",
}


@pytest.mark.parametrize("sender", ["settings.AUTH_USER_MODEL", "'members.Member'", "get_user_model()"])
def test_s4_a_receiver_of_the_user_model_that_took_the_place_of_djangos_receives_its_change(sender):
    script = f"""
        from django.conf import settings
        from django.contrib.auth import get_user_model
        from django.core.management import call_command
        from heliograph import changed, receiver
        from heliograph.signals import post_save

        call_command("migrate", run_syncdb=True, verbosity=0)

        @receiver(post_save, sender={sender}, when=changed("email"))
        def record(sender, changes, **kwargs):
            report((sender.__name__, {{name: tuple(change) for name, change in changes.items()}}))

        member = get_user_model().objects.create_user("ada")
        member.email = "ada@example.com"
        member.save()
    """
    assert run(dedent(script), **SWAPPED) == [("Member", {"email": ("", "ada@example.com")})]


@pytest.mark.parametrize("sender", ["'auth.User'", "User"])
def test_a_receiver_of_the_user_model_whose_place_was_taken_is_refused(sender):
    script = f"""
        from django.contrib.auth.models import User
        from heliograph import changed, receiver
        from heliograph.signals import post_save

        try:
            @receiver(post_save, sender={sender}, when=changed("email"))
            def record(**kwargs):
                pass
        except TypeError as error:
            report(str(error).rpartition(". ")[2])
    """
    hint = "It is swapped for members.Member: pass sender=settings.AUTH_USER_MODEL."
    assert run(dedent(script), **SWAPPED) == [hint]


# --- S5: generic foreign keys -------------------------------------------------------------------------------------


@database
def test_s5_the_remarks_that_are_deleted_with_their_essay_are_received_once_each(listen):
    received = listen(post_delete, sender=Remark)
    essay, other = Essay.objects.create(name="short"), Essay.objects.create(name="long")
    for target in (essay, essay, other):
        Remark.objects.create(target=target, text=target.name)
    essay.delete()
    assert [payload["instance"].text for _, payload in received] == ["short", "short"]


@database
def test_the_remarks_that_are_deleted_with_their_essay_say_where_that_began(listen):
    received = listen(post_delete, sender=Remark)
    essay = Essay.objects.create()
    Remark.objects.create(target=essay)
    essay.delete()
    assert [payload["origin"] for _, payload in received] == [essay]


@database
def test_s5_content_type_and_object_id_that_are_changed_together_are_one_event(changes_for):
    got = changes_for(post_save, sender=Remark, when=changed("content_type", "object_id"))
    essay, writer = Essay.objects.create(pk=7), Writer.objects.create(pk=8)
    remark = Remark.objects.create(target=essay)
    remark.target = writer
    remark.save()
    types = [ContentType.objects.get_for_model(model).pk for model in (Essay, Writer)]
    assert got == [(Remark, {"content_type": (types[0], types[1]), "object_id": (7, 8)})]


@database
def test_another_object_of_the_same_model_changes_the_object_id_alone(changes_for):
    got = changes_for(post_save, sender=Remark, when=changed("content_type", "object_id"))
    remark = Remark.objects.create(target=Essay.objects.create(pk=7))
    remark.target = Essay.objects.create(pk=8)
    remark.save()
    assert got == [(Remark, {"object_id": (7, 8)})]


@database
def test_an_object_id_that_is_given_as_text_is_no_change(changes_for):
    got = changes_for(post_save, sender=Remark, when=changed("object_id"))
    remark = Remark.objects.create(target=Essay.objects.create(pk=7))
    remark.object_id = "7"
    remark.save()
    assert got == []


@database
def test_a_remark_that_is_loaded_with_its_target_is_not_changed(changes_for):
    Remark.objects.create(target=Essay.objects.create())
    got = changes_for(post_save, sender=Remark, when=changed())
    remark = Remark.objects.prefetch_related("target").get()
    assert remark.target is not None
    remark.save()
    assert got == []


@database
def test_a_remark_that_is_added_through_its_relation_is_created(listen):
    received = listen(post_save, sender=Remark, when=created)
    Essay.objects.create().remarks.create(text="Good")
    assert [payload["instance"].text for _, payload in received] == ["Good"]


# --- S6: order and keys -------------------------------------------------------------------------------------------


@database
def test_a_chapter_that_is_created_gets_its_place_without_a_change(changes_for):
    got = changes_for(post_save, sender=Chapter, when=changed("_order"))
    novel = Novel.objects.create()
    for _ in range(2):
        Chapter.objects.create(novel=novel).save()
    assert got == []


@database
@on_each_save
def test_s6_a_chapter_that_moves_has_changed_its_place(changes_for, signal):
    got = changes_for(signal, sender=Chapter, when=changed("_order"))
    novel = Novel.objects.create()
    chapters = [Chapter.objects.create(novel=novel) for _ in range(2)]
    chapters[1]._order = 0
    chapters[1].save()
    assert got == [(Chapter, {"_order": (1, 0)})]


@database
def test_a_chapter_is_known_again_after_its_novel_was_put_in_order(changes_for):
    got = changes_for(post_save, sender=Chapter, when=changed("_order"))
    novel = Novel.objects.create()
    first, second = (Chapter.objects.create(novel=novel) for _ in range(2))
    novel.set_chapter_order([second.pk, first.pk])
    first.refresh_from_db()
    first.save()
    assert got == []


@database
@on_each_save
def test_s6_a_row_with_a_key_of_two_columns_sends_its_change(changes_for, signal):
    got = changes_for(signal, sender=Seat, when=changed("guest"))
    Seat.objects.create(row=1, number=2, guest="Ada")
    seat = Seat.objects.get(pk=(1, 2))
    seat.guest = "Grace"
    seat.save()
    assert got == [(Seat, {"guest": ("Ada", "Grace")})]


@database
def test_a_row_with_a_key_of_two_columns_is_created_without_a_change(changes_for):
    got = changes_for(post_save, sender=Seat)
    Seat.objects.create(row=1, number=2, guest="Ada")
    Seat(row=1, number=3, guest="Grace").save()
    assert got == [(Seat, {})] * 2


@database
def test_another_key_of_two_columns_is_another_row(changes_for, listen):
    got, received = changes_for(post_save, sender=Seat), listen(post_save, sender=Seat, when=created)
    seat = Seat.objects.create(row=1, number=2, guest="Ada")
    seat.number = 3
    seat.save()
    assert ([changes for _, changes in got], len(received), Seat.objects.count()) == ([{}, {}], 2, 2)


@database
def test_a_column_of_a_key_of_two_can_be_watched(listen):
    received = listen(post_save, sender=Seat, when=changed("number"))
    Seat.objects.create(row=1, number=2)
    Seat.objects.get().save()
    assert received == []


@database
def test_what_is_not_saved_of_a_row_with_a_key_of_two_columns_is_known(changes_for):
    changes_for(post_save, sender=Seat)
    Seat.objects.create(row=1, number=2, guest="Ada")
    seat = Seat.objects.get()
    seat.guest = "Grace"
    assert changes_of(seat) == {"guest": ("Ada", "Grace")}


# --- part of a child --------------------------------------------------------------------------------------------------


@database
def test_the_key_of_a_parent_that_was_not_loaded_is_no_change(changes_for):
    got = changes_for(post_save, sender=Audiobook, when=changed())
    Audiobook.objects.create(name="Tides", minutes=1)
    audiobook = Audiobook.objects.only("minutes").get()
    assert audiobook.id == audiobook.pk
    audiobook.save()
    assert got == []
