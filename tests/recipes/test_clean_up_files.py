"""Files of rows: removed when no row names them any more, beside the receivers of tutorials."""

import os
import re
import weakref
from contextlib import nullcontext, suppress
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from django.core import serializers
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, default_storage
from django.core.files.uploadedfile import SimpleUploadedFile, TemporaryUploadedFile
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from examples.tutorial.file_deletion import delete_file
from heliograph import BeforeCommit, Durable, OnCommit, Retry, fixed, mute, trace
from heliograph.dispatch.observed_events import Called
from heliograph.flow.patched_methods import patched_methods
from heliograph.outbox import drain
from heliograph.outbox.models import Delivery
from heliograph.recipes import clean_up_files
from heliograph.recipes.declarations import declarations
from heliograph.recipes.file_names import file_fields
from heliograph.signals import post_delete, post_save, pre_save
from tests.app.models import Album, Article, Painting, Picture, PictureProxy, Poster, Ware
from tests.helpers.deliveries import ago
from tests.helpers.recipes_command import run
from tests.helpers.savepoints import UndoneError, by_hand
from tests.helpers.threads import at_once

pytestmark = pytest.mark.django_db(databases=["default", "other"], transaction=True)

AT_ONCE = OnCommit()


@pytest.fixture(autouse=True)
def media(settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path
    return tmp_path


@pytest.fixture
def cleaned():
    return clean_up_files(Picture, "image", "sketch", delivery=AT_ONCE)


def content(name):
    return ContentFile(name.encode(), name=f"{name}.txt")


def stored():
    """Return the first letters of the names of all files in the storage: "a" for pictures/2026/a_Fg34.txt."""
    return sorted(path.name[0] for path in Path(default_storage.location).rglob("*.txt"))


def picture(name="a", model=Picture, using="default", **values):
    """Insert a row with a file, and return a fresh copy."""
    made = model(image=content(name), **values)
    made.save(using=using)
    return model.objects.using(using).get(pk=made.pk)


def replace(one, name="b"):
    one.image = content(name)
    return one


def name_of(one):
    return Picture.objects.values_list("image", flat=True).get(pk=one.pk)


def read(one):
    with default_storage.open(name_of(one)) as file:
        return file.read()


def undo(function, *args):
    with suppress(UndoneError), transaction.atomic():
        function(*args)
        raise UndoneError


# --- what is committed --------------------------------------------------------------------------------------------


def by_update(one):
    """Let an update() replace the file by one that is stored."""
    Picture.objects.filter(pk=one.pk).update(image=default_storage.save("pictures/b.txt", content("b")))


def by_bulk_update(one):
    one.image = default_storage.save("pictures/b.txt", content("b"))
    Picture.objects.bulk_update([one], ["image"])


def by_upsert(one):
    Picture.objects.bulk_create(
        [Picture(pk=one.pk, image=content("b"))],
        update_conflicts=True,
        update_fields=["image"],
        **({} if connection.vendor == "mysql" else {"unique_fields": ["pk"]}),
    )


REPLACING = {
    "save": lambda one: replace(one).save(),
    "save(update_fields)": lambda one: replace(one).save(update_fields=["image"]),
    "save of the file": lambda one: one.image.save("b.txt", content("b")),
    "save of a stale copy": lambda one: replace(Picture(pk=one.pk)).save(),
    "save of a deferred copy": lambda one: replace(Picture.objects.defer("image").get(pk=one.pk)).save(),
    "save through a proxy": lambda one: replace(PictureProxy.objects.get(pk=one.pk)).save(),
    "update_or_create": lambda one: Picture.objects.update_or_create(pk=one.pk, defaults={"image": content("b")}),
    "update": by_update,
    "bulk_update": by_bulk_update,
    "upsert": by_upsert,
}


@pytest.mark.parametrize("name", REPLACING)
def test_r7_a_file_that_is_replaced_is_removed_after_the_commit(cleaned, name):
    one = picture()
    with transaction.atomic():
        REPLACING[name](one)
        assert stored() == ["a", "b"]
    assert stored() == ["b"]
    assert default_storage.exists(name_of(one))


@pytest.mark.parametrize("name", REPLACING)
def test_r7_a_file_that_is_replaced_in_autocommit_is_removed(cleaned, name):
    REPLACING[name](picture())
    assert stored() == ["b"]


def test_a_file_that_is_taken_from_its_row_is_removed(cleaned):
    one = picture()
    one.image = ""
    one.save()
    Picture.objects.filter(pk=picture("b").pk).update(image="")
    assert stored() == []


DELETING = {
    "delete": lambda one: one.delete(),
    "delete of a query": lambda one: Picture.objects.filter(pk=one.pk).delete(),
    "delete by a cascade": lambda one: one.album.delete(),
    "delete of a stale copy": lambda one: Picture(pk=one.pk).delete(),
    "delete through a proxy": lambda one: PictureProxy.objects.filter(pk=one.pk).delete(),
    "delete of a deferred copy": lambda one: Picture.objects.only("title").get(pk=one.pk).delete(),
}


@pytest.mark.parametrize("name", DELETING)
def test_r7_the_file_of_a_deleted_row_is_removed_after_the_commit(cleaned, name):
    one = picture(album=Album.objects.create())
    with transaction.atomic():
        DELETING[name](one)
        assert stored() == ["a"]
    assert stored() == []


@pytest.mark.parametrize("name", DELETING)
def test_r7_the_file_of_a_row_whose_deletion_is_rolled_back_is_kept(cleaned, name):
    undo(DELETING[name], picture(album=Album.objects.create()))
    assert stored() == ["a"]
    assert Picture.objects.exists()


def test_children_by_inheritance_have_files_of_their_parent(cleaned):
    one, other = (picture(model=Painting) for _ in range(2))
    replace(one).save()
    other.delete()
    assert stored() == ["b"]
    Painting.objects.update(image="")
    assert stored() == []


def test_rows_of_another_database_have_their_files(cleaned):
    one, other = (picture(using="other") for _ in range(2))
    replace(one).save()
    other.delete()
    assert stored() == ["b"]
    with suppress(UndoneError), transaction.atomic(using="other"):
        Picture(image=content("c")).save(using="other")
        Picture.objects.using("other").bulk_create([Picture(image=content("d"))])
        raise UndoneError
    assert stored() == ["b"]


def test_each_file_of_a_transaction_but_the_last_one_is_removed(cleaned):
    with transaction.atomic():
        one = picture()
        for name in "bcd":
            replace(one, name).save()
        picture("e").delete()
    assert stored() == ["d"]


def test_all_file_fields_are_cleaned_up_if_none_is_named():
    clean_up_files(Picture, delivery=AT_ONCE)
    picture(sketch=content("s")).delete()
    assert stored() == []


def test_files_of_a_field_that_is_not_named_are_left_alone():
    clean_up_files(Picture, "image", delivery=AT_ONCE)
    picture(sketch=content("s")).delete()
    assert stored() == ["s"]


# --- what is rolled back ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(REPLACING.keys() - {"update", "bulk_update"}))
def test_r7_a_replacement_that_is_rolled_back_keeps_the_old_file_and_removes_the_new_one(cleaned, name):
    one = picture()
    undo(REPLACING[name], one)
    assert stored() == ["a"]
    assert default_storage.exists(name_of(one))


CREATING = {
    "save": lambda: Picture(image=content("a")).save(),
    "create": lambda: Picture.objects.create(image=content("a")),
    "save of the file": lambda: Picture().image.save("a.txt", content("a")),
    "bulk_create": lambda: Picture.objects.bulk_create([Picture(image=content(name)) for name in "ab"]),
    "proxy": lambda: PictureProxy.objects.create(image=content("a")),
    "multi-table child": lambda: Painting.objects.create(image=content("a")),
    "created and deleted": lambda: Picture.objects.create(image=content("a")).delete(),
}


@pytest.mark.parametrize("name", CREATING)
def test_r7_the_file_of_a_row_whose_creation_is_rolled_back_is_removed(cleaned, name):
    undo(CREATING[name])
    assert stored() == []


@pytest.mark.parametrize("name", CREATING)
def test_the_file_of_a_row_whose_savepoint_is_rolled_back_is_removed(cleaned, name):
    with transaction.atomic():
        picture("k")
        undo(CREATING[name])
    assert stored() == ["k"]
    with transaction.atomic(), by_hand("roll back"):
        CREATING[name]()
    assert stored() == ["k"]


def test_a_rollback_after_the_one_of_a_savepoint_removes_the_files_of_both(cleaned):
    def write():
        picture("a")
        undo(picture, "b")

    undo(write)
    assert stored() == []


FAILING = {
    "create": lambda: Picture.objects.create(number=1, image=content("b"), sketch=content("c")),
    "bulk_create": lambda: Picture.objects.bulk_create([Picture(number=1, image=content("b")), Picture(number=2)]),
    "save of another row": lambda: replace(Picture(pk=Picture.objects.get(number=None).pk, number=1)).save(),
    "multi-table child": lambda: Painting.objects.create(number=1, image=content("b")),
}


@pytest.mark.parametrize("name", FAILING)
def test_r7_the_file_of_a_statement_that_fails_in_autocommit_is_removed(cleaned, name):
    picture(number=1)
    Picture.objects.create()
    with pytest.raises(IntegrityError):
        FAILING[name]()
    assert stored() == ["a"]


def test_a_file_that_the_storage_does_not_store_removes_nothing(cleaned, monkeypatch):
    """The instance has the name of its upload still, and another file may have that name."""
    (Path(default_storage.location) / "b.txt").touch()

    def refuse(*args):
        raise OSError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(FileSystemStorage, "_save", refuse)
        with pytest.raises(OSError, match="full"):
            Picture.objects.create(image=content("b"))
    assert stored() == ["b"]


def test_a_file_that_was_there_before_is_kept_if_its_row_is_rolled_back(cleaned):
    undo(partial(Picture.objects.create, image=default_storage.save("pictures/a.txt", content("a"))))
    assert stored() == ["a"]


def test_a_file_whose_name_is_only_asked_for_is_not_new(cleaned):
    """Code that lets a browser upload to the storage asks for the name alone."""
    one = Picture(image=default_storage.save("pictures/a.txt", content("a")))
    assert one.image
    undo(lambda: Picture._meta.get_field("image").generate_filename(one, "b.txt"))
    assert stored() == ["a"]


@pytest.mark.django_db
def test_inside_a_test_case_files_are_removed_as_in_production(cleaned):
    one = picture(number=1)
    replace(one).save()
    undo(lambda: picture("c"))
    with pytest.raises(IntegrityError):
        Picture.objects.create(number=1, image=content("d"))
    assert stored() == ["b"]


# --- what an instance has after a rollback ------------------------------------------------------------------------


def in_a_file():
    upload = TemporaryUploadedFile("b.txt", "text/plain", 1, None)
    return upload.write(b"b") and upload


UPLOADS = {"in memory": lambda: SimpleUploadedFile("b.txt", b"b"), "made": lambda: content("b"), "in a file": in_a_file}


@pytest.mark.parametrize("upload", UPLOADS)
@pytest.mark.parametrize("is_inside", [True, False])
def test_an_instance_that_is_saved_again_after_a_rollback_stores_its_upload_again(cleaned, upload, is_inside):
    """A request keeps its uploads, so a view that tries again with another number has the file."""
    one, upload = picture(number=1), UPLOADS[upload]()
    again = Picture(number=1, image=upload)

    def save():
        with pytest.raises(IntegrityError), transaction.atomic():
            again.save()
        again.number = 2
        again.save()

    with transaction.atomic() if is_inside else nullcontext():
        save()
    assert stored() == ["a", "b"]
    assert read(again) == b"b"
    assert name_of(again) != name_of(one)
    upload.close()


def test_an_upload_that_nobody_keeps_is_read_from_the_storage_while_the_transaction_goes_on(cleaned):
    again = Picture(number=picture(number=1).number, image=content("b"))
    with transaction.atomic():
        with pytest.raises(IntegrityError), transaction.atomic():
            again.save()
        again.number = 2
        again.save()
    assert stored() == ["a", "b"]
    assert read(again) == b"b"


def test_an_instance_that_has_another_upload_by_then_keeps_it(cleaned):
    one = picture()

    def save():
        replace(one, "b").save()
        replace(one, "c")

    undo(save)
    one.save()
    assert stored() == ["c"]


def test_an_upload_that_is_gone_is_an_error_and_not_a_row_without_its_file(cleaned):
    again = Picture(number=picture(number=1).number, image=content("b"))
    with pytest.raises(IntegrityError):
        again.save()
    again.number = 2
    with pytest.raises(FileNotFoundError, match=r"was removed when the transaction that had stored it was rolled back"):
        again.save()
    assert stored() == ["a"]
    assert Picture.objects.count() == 1
    replace(again).save()
    assert stored() == ["a", "b"]


# --- what is kept -------------------------------------------------------------------------------------------------


def copied(one):
    one.pk = None
    one._state.adding = True
    one.save()
    return one


def test_r7_a_file_that_another_row_names_is_kept_until_the_last_one_is_gone(cleaned):
    one = picture()
    other = copied(Picture.objects.get(pk=one.pk))
    replace(one).save()
    assert stored() == ["a", "b"]
    other.delete()
    assert stored() == ["b"]


def test_rows_that_go_together_take_their_file_with_them(cleaned):
    copied(picture())
    Picture.objects.all().delete()
    assert stored() == []


def test_a_file_that_a_row_of_another_model_names_is_kept(cleaned):
    one = picture()
    poster = Poster.objects.create(image=name_of(one))
    one.delete()
    assert stored() == ["a"]
    poster.delete()
    assert stored() == ["a"]  # the model is not cleaned up


def test_r7_a_default_file_is_never_removed(cleaned):
    default_storage.save("sketches/none.txt", content("n"))
    one = picture()
    one.sketch = content("s")
    one.save()
    one.sketch = "sketches/none.txt"
    one.save()
    one.delete()
    assert stored() == ["n"]


def test_r7_a_default_file_that_no_row_has_is_not_lost():
    clean_up_files(Picture, "sketch", scan=True)
    assert run("verify") == (0, ["1 verified, 0 wrong"])  # there is no folder yet
    age(default_storage.save("sketches/none.txt", content("n")))
    assert run("verify") == (0, ["1 verified, 0 wrong"])


def test_a_file_that_the_default_replaces_is_removed_whether_there_is_a_default_file_or_not(cleaned):
    one = picture(sketch=content("s"))
    one.sketch = "sketches/none.txt"
    one.save()
    assert stored() == ["a"]


def test_a_row_with_the_default_file_leaves_a_worker_nothing_to_do():
    clean_up_files(Picture)
    Picture.objects.create().delete()
    assert not Delivery.objects.exists()


def test_r7_a_save_that_does_not_write_the_file_removes_nothing(cleaned):
    one = Picture.objects.only("title").get(pk=picture().pk)
    with CaptureQueriesContext(connection) as queries:
        one.title = "Tea"
        one.save()
    assert not [query for query in queries if "image" in query["sql"] and query["sql"].startswith("UPDATE")]
    one.image = content("b")
    one.save(update_fields=["title"])
    assert stored() == ["a"]


def test_a_save_that_changes_nothing_removes_nothing(cleaned):
    one = picture()
    one.save()
    with transaction.atomic():
        name = name_of(one)
        Picture.objects.filter(pk=one.pk).update(image="")
        Picture.objects.filter(pk=one.pk).update(image=name)
    assert stored() == ["a"]


def test_a_fixture_is_left_alone(cleaned, tmp_path):
    one = picture()
    one.image = ""
    fixture = tmp_path / "pictures.json"
    fixture.write_text(serializers.serialize("json", [one]))
    call_command("loaddata", fixture, verbosity=0)
    assert stored() == ["a"]


def test_a_stale_copy_that_puts_back_the_name_of_a_removed_file_does_not_take_the_new_one_with_it(cleaned, caplog):
    one = picture()
    stale = Picture.objects.get(pk=one.pk)
    replace(one).save()
    stale.save()
    assert stored() == ["b"]
    assert "a row names" in caplog.text


def test_a_file_that_is_named_again_before_a_worker_comes_to_it_is_kept():
    clean_up_files(Picture)
    one = picture()
    name = name_of(one)
    one.delete()
    Poster.objects.create(image=name)
    drain()
    assert stored() == ["a"]


def test_workers_may_remove_the_files_of_two_transactions_in_any_order():
    clean_up_files(Picture)
    one = picture()
    replace(one, "b").save()
    first = Delivery.objects.get()
    replace(one, "c").save()
    Delivery.objects.filter(pk=first.pk).update(due_at=timezone.now() + timedelta(days=1))
    drain()
    assert stored() == ["a", "c"]
    Delivery.objects.filter(pk=first.pk).update(due_at=ago(60))
    drain()
    assert stored() == ["c"]


def test_r7_writers_at_the_same_time_leave_one_file(cleaned):
    """Each one takes the name that the row has when it writes, and not the name that it has read."""
    one = picture()

    def write(name):
        for _ in range(4):
            replace(Picture.objects.get(pk=one.pk), name).save()

    at_once(*(partial(write, name) for name in "bcde"))
    assert len(stored()) == 1
    assert default_storage.exists(name_of(one))


# --- a storage that fails -----------------------------------------------------------------------------------------


@pytest.fixture
def failing_storage(monkeypatch):
    """Let the storage refuse to delete, until `failing_storage()` is called."""
    delete = FileSystemStorage.delete

    def refuse(*args):
        raise OSError("the storage is away")

    monkeypatch.setattr(FileSystemStorage, "delete", refuse)
    return partial(monkeypatch.setattr, FileSystemStorage, "delete", delete)


def test_an_error_of_the_storage_is_logged_and_reaches_nobody(cleaned, failing_storage, caplog):
    replace(picture()).save()
    undo(picture, "c")
    assert stored() == ["a", "b", "c"]
    assert [str(one.exc_info[1].exceptions) for one in caplog.records] == ["(OSError('the storage is away'),)"] * 2


def test_r7_a_storage_that_fails_is_asked_again_by_a_worker(failing_storage):
    clean_up_files(Picture, "image", delivery=Durable(atomic=False, retry=Retry(backoff=fixed(0))))
    one = picture()
    with transaction.atomic():
        replace(one).save()
        picture("c").delete()
        undo(picture, "d")
    assert Delivery.objects.count() == 1
    assert stored() == ["a", "b", "c", "d"]
    failing_storage()
    drain()
    assert stored() == ["b"]


def test_with_the_outbox_a_worker_removes_the_files():
    declared = clean_up_files(Picture, "image")
    replace(picture()).save()
    declared.disconnect()
    clean_up_files(Picture)  # as the next deploy has it
    undo(picture, "c")
    assert stored() == ["a", "b", "c"]
    drain()
    assert stored() == ["b"]


def test_a_transaction_may_take_more_names_from_rows_than_a_stored_call_has_room_for():
    """Its limit is 256 KiB."""
    clean_up_files(Picture)
    names = [f"pictures/{'x' * 80}{number}.txt" for number in range(3000)]
    Picture.objects.bulk_create([Picture(image=name) for name in names])
    Picture.objects.all().delete()
    assert Delivery.objects.count() == 30
    assert {type(outcome).__name__ for outcome in drain()} == {"Succeeded"}


def test_without_the_outbox_files_are_removed_after_the_commit(settings):
    settings.INSTALLED_APPS = [name for name in settings.INSTALLED_APPS if name != "heliograph.outbox"]
    clean_up_files(Picture)
    replace(picture()).save()
    assert stored() == ["b"]


def test_what_is_gone_already_is_no_error(cleaned, caplog, monkeypatch):
    """Django's own storage says nothing then, and others do."""

    def miss(storage, name):
        raise FileNotFoundError(name)

    monkeypatch.setattr(FileSystemStorage, "delete", miss)
    picture().delete()
    assert caplog.records == []


# --- what it costs ------------------------------------------------------------------------------------------------


def test_all_files_of_a_transaction_are_looked_up_by_one_query_for_each_file_field(cleaned):
    Picture.objects.bulk_create([Picture(image=content(name)) for name in "abcdef"])
    with CaptureQueriesContext(connection) as queries:
        Picture.objects.all().delete()
    statements = [query["sql"] for query in queries]
    after = statements[statements.index("COMMIT") + 1 :]
    assert len(after) == len([*file_fields()])
    assert stored() == []


def test_uploads_are_not_kept_in_memory_until_the_commit(cleaned):
    with transaction.atomic():
        references = []
        for name in "abcd":
            upload = content(name)
            references.append(weakref.ref(upload))
            Picture.objects.create(image=upload)
            del upload
        assert sum(reference() is not None for reference in references) <= 1
    assert stored() == ["a", "b", "c", "d"]


# --- files without a row ------------------------------------------------------------------------------------------


def age(name):
    """Let a file be two days old."""
    old = (timezone.now() - timedelta(days=2)).timestamp()
    os.utime(default_storage.path(name), (old, old))


def test_r7_verify_finds_files_that_no_row_names_and_repair_removes_them():
    clean_up_files(Picture, "image", delivery=AT_ONCE, scan=True)
    one, young = picture(), default_storage.save("pictures/y.txt", content("y"))
    lost = default_storage.save("pictures/2020/z.txt", content("z"))
    poster = Poster.objects.using("other").create(image=default_storage.save("pictures/p.txt", content("p")))
    for name in (name_of(one), lost, str(poster.image)):
        age(name)
    line = f"app.Picture.image of '{lost}' is in the storage, not in a row"
    assert run("list")[1][1:] == ["    app.Picture.image: each file below 'pictures' is named by a row"]
    assert run("verify") == (1, [line, "1 verified, 1 wrong"])
    assert run("verify", "--repair") == (0, [f"{line}, and is mended", "1 verified, 1 mended"])
    assert run("verify") == (0, ["1 verified, 0 wrong"])
    assert default_storage.exists(young)
    assert stored() == ["a", "p", "y"]


# --- the declaration ----------------------------------------------------------------------------------------------


def test_r18_disconnected_it_leaves_no_patch_and_no_receiver(no_kept_error):
    before = patched_methods(), [*post_save.receivers]
    declaration = clean_up_files(Picture)
    assert (declaration.disconnect(), declaration.disconnect()) == (True, False)
    assert (patched_methods(), post_save.receivers) == before
    assert "generate_filename" not in vars(Picture._meta.get_field("image"))
    picture().delete()
    assert stored() == ["a"]


def test_r18_muted_it_does_nothing(cleaned):
    with mute(Picture):
        picture().delete()
        undo(lambda: Picture.objects.create(image=content("b")))
    assert stored() == ["a", "b"]


def test_r18_it_is_seen_by_a_trace(cleaned):
    one = picture()
    with trace() as traced:
        replace(one).save()
    names = [one.receiver.__qualname__ for one in traced.events if isinstance(one, Called)]
    assert "clean_up_files(app.Picture)" in names


def test_a_declaration_reads_as_it_was_written():
    assert clean_up_files(Picture).text == "clean_up_files(app.Picture)"
    text = clean_up_files("app.Poster", "image", delivery=AT_ONCE, scan=True).text
    assert text == "clean_up_files('app.Poster', 'image', delivery=OnCommit(), scan=True)"


def nowhere(instance, filename):
    return filename


@pytest.mark.parametrize(
    ("declare", "text"),
    [
        (
            partial(clean_up_files, Picture, "imag"),
            "clean_up_files(app.Picture, 'imag'): app.Picture has no field 'imag' with a column. Did you mean 'image'?",
        ),
        (
            partial(clean_up_files, Picture, "title"),
            "clean_up_files(app.Picture, 'title'): app.Picture.title is a CharField, and no FileField.",
        ),
        (
            partial(clean_up_files, Painting, "image"),
            "clean_up_files(app.Painting, 'image'): 'image' is a column of app.Picture. Declare it for 'app.Picture'.",
        ),
        (partial(clean_up_files, Ware), "clean_up_files(app.Ware): app.Ware has no FileField in its own table."),
        (
            partial(clean_up_files, Picture, delivery=BeforeCommit()),
            "files are removed after the commit, and are put together without batch=True. Write delivery=OnCommit(), or"
            " delivery=Durable(atomic=False).",
        ),
        (partial(clean_up_files, Picture, delivery=Durable(batch=True)), "put together without batch=True."),
    ],
)
def test_a_declaration_that_cannot_be_right_is_refused_where_it_stands(declare, text):
    with pytest.raises(TypeError, match=re.escape(text)):
        declare()
    assert declarations == []


def test_a_field_is_cleaned_up_once(cleaned):
    with pytest.raises(TypeError, match=r"the files of 'image' are cleaned up already, at .*py:\d+"):
        clean_up_files(Picture, "image")
    replace(picture()).save()
    assert stored() == ["b"]


def test_a_folder_that_is_not_known_cannot_be_listed(monkeypatch):
    monkeypatch.setattr(Article._meta.get_field("cover"), "upload_to", nowhere)
    with pytest.raises(TypeError, match=r"Leave scan=True out, or begin upload_to with a folder of its own\."):
        clean_up_files(Article, scan=True)


# --- the receivers of tutorials -----------------------------------------------------------------------------------


def delete_old_file(sender, instance, **kwargs):
    """The receiver of pre_save that most answers recommend."""
    before = Picture.objects.filter(pk=instance.pk).first()
    if before and before.image != instance.image:
        before.image.delete(save=False)


@pytest.fixture
def tutorial(connect):
    connect(post_delete, delete_file, sender=Picture)
    connect(pre_save, delete_old_file, sender=Picture)


def test_control_the_tutorials_receiver_removes_the_file_of_a_row_that_comes_back(tutorial):
    one = picture()
    undo(lambda: Picture.objects.get(pk=one.pk).delete())
    assert not default_storage.exists(name_of(one))


def test_control_the_tutorials_receiver_removes_the_old_file_of_a_save_that_is_rolled_back(tutorial):
    one = picture()
    undo(lambda: replace(Picture.objects.get(pk=one.pk)).save())
    assert not default_storage.exists(name_of(one))
    assert stored() == ["b"]


def test_control_the_tutorials_receiver_removes_a_file_that_another_row_names(tutorial):
    one = picture()
    other = copied(Picture.objects.get(pk=one.pk))
    replace(one).save()
    assert not default_storage.exists(name_of(other))


def test_control_the_tutorials_receivers_remove_the_default_file(tutorial):
    default_storage.save("sketches/none.txt", content("n"))
    Picture.objects.create(image="sketches/none.txt").delete()
    assert stored() == []


def test_control_the_tutorials_receiver_misses_an_update(tutorial):
    by_update(picture())
    assert stored() == ["a", "b"]
