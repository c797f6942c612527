"""Files: a file that no row names any more is removed after the commit, and so is one whose row was rolled back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.db import router
from django.db.models import FileField, Model

import heliograph
from heliograph import Batch, BeforeCommit, Inline, OnCommit, OnRollback, Signal, changed, raw
from heliograph.recipes.chunking import in_chunks
from heliograph.recipes.declarations import Declaration, declare, named, written
from heliograph.recipes.fields import field_named
from heliograph.recipes.file_names import Files, FilesInStorage, defaults_of, folder_of, own_file_fields
from heliograph.recipes.uploads import Upload, watch
from heliograph.signals import post_delete, post_save, pre_save

if TYPE_CHECKING:
    from heliograph import Durable

# Sent in the transaction of each write that takes names of files from rows. Its receiver is called once for all writes
# of the transaction; those of a savepoint that is rolled back are left out.
files_left = Signal(name="heliograph.recipes.files_left")
# Sent at the end of such a transaction, with some of the names. Its receiver removes the files.
files_due = Signal(name="heliograph.recipes.files_due")
# Sent for each file that is being stored, in the transaction of its row.
file_stored = Signal(name="heliograph.recipes.file_stored")

SOME = 100  # names in one send: a stored call has a limit of 256 KiB, and a name may be long
_ALIAS = "_heliograph_saved_to"  # an attribute of the state of an instance that is being saved


def clean_up_files(
    model: type[Model] | str, *fields: str, delivery: OnCommit | Durable | None = None, scan: bool = False
) -> Declaration:
    """Remove the files of rows that are replaced or deleted, once this is committed and no row names them any more.

        clean_up_files(Product, "thumbnail")

    A file that was stored for a row which was rolled back is removed too. Without names, all file fields of the model
    are meant. With "heliograph.outbox" installed, the default of `delivery` is `Durable(atomic=False)`, so that a
    worker removes the files, and tries again if the storage fails; without it, `OnCommit()`. With `scan=True`,
    `manage.py recipes verify` lists the storage for files that no row names. The model may be named "app.Model".
    Returns a `Declaration`.

    Raises TypeError, with what to do, for a field or a delivery that does not fit; if models are not loaded yet, a
    system check reports it.
    """
    options = {**({} if delivery is None else {"delivery": delivery}), **({"scan": True} if scan else {})}
    text = written("clean_up_files", model, *fields, **options)

    def connect(declaration: Declaration, model: type[Model]) -> None:
        found = [*_fields_of(text, model, fields)]
        policy = _policy(text, delivery)
        subjects = tuple(_subject(text, field) for field in found) if scan else ()
        for field in found:
            declaration.claim(field, f"the files of {field.name!r} are cleaned up already", "Remove one of the two.")
        Cleaning(model._meta.concrete_model, found).connect(declaration, policy)
        declaration.subjects = subjects

    return declare(text, connect, model)


@dataclass(frozen=True)
class Cleaning:
    """The receivers that clean up the files of some fields of a model."""

    model: Any
    fields: Sequence[Any]

    def connect(self, declaration: Declaration, policy: OnCommit | Durable) -> None:
        """Connect the receivers of writes, and those of the end of their transaction."""
        options: Any = {"sender": self.model, "subclasses": True, "bulk": True}
        of_write: Any = {**options, "fetch": "lock", "delivery": Inline(batch=True)}
        names = [field.name for field in self.fields]
        declaration.connect(pre_save, self._named(_remember_alias), when=~raw, **options)
        declaration.connect(post_save, self._named(self.leave), when=~raw & changed(*names), **of_write)
        declaration.connect(post_delete, self._named(self.leave), when=changed(*names), **of_write)
        at_end: Any = {"sender": self.model, "when": partial(_is_among, frozenset(names))}
        declaration.connect(file_stored, self._named(self.undo), delivery=OnRollback(batch=True), **at_end)
        declaration.connect(files_left, self._named(self.collect), delivery=BeforeCommit(batch=True), **at_end)
        declaration.connect(files_due, self._named(self.remove), delivery=policy, **at_end)
        for field in self.fields:
            declaration.undone_by(watch(field, self.store))

    def _named(self, method: Callable[..., None]) -> Callable[..., None]:
        """Return a receiver with a name that stored calls still have when the declaration names other fields."""
        return named(f"clean_up_files({self.model._meta.label})", method)

    def store(self, upload: Upload) -> None:
        """Remember, for a rollback, that a file is being stored."""
        instance: Any = upload.instance()
        using = instance._state.__dict__.get(_ALIAS) or router.db_for_write(type(instance), instance=instance)
        self._send_stored(upload, using)

    def leave(self, sender: Any, batch: Batch, using: str, **kwargs: Any) -> None:
        """Remember, for the commit, the names that rows had and do not have any more."""
        for field in self.fields:
            kept, left = {"", *defaults_of(field)}, {}
            for _, *states in batch.values(field.name):
                before, after = (_name(values[0]) if values else "" for values in states)
                if before not in kept and before != after:
                    left[before] = "" if after in kept else after
            self._send_left(field, left, using)

    def undo(self, sender: Any, batch: Batch, using: str, **kwargs: Any) -> None:
        """Remove the files that were stored and rolled back, at the end of a transaction that goes on."""
        for field in self.fields:
            uploads = [one for one in _of(batch, field, "upload") if one.stored_name()]
            self._send_left(field, {one.stored_name(): "" for one in uploads}, using)
            for upload in uploads:
                upload.give_back()
                self._send_stored(upload, using)

    def collect(self, sender: Any, batch: Batch, using: str, **kwargs: Any) -> None:
        """Send the names that the transaction has taken from rows, so many at a time."""
        for field in self.fields:
            left: dict[str, str] = {}
            for names in _of(batch, field, "names"):
                left |= names
            for some in in_chunks(left, SOME):
                names = {name: left[name] for name in some}
                files_due.send(sender=self.model, using=using, field=field.name, names=names)

    def remove(self, sender: Any, field: str, names: Mapping[str, str], using: str, **kwargs: Any) -> None:
        """Remove the files that no row names, and raise the errors of the storage together."""
        errors = Files(self.model._meta.get_field(field)).remove(names, using)
        if errors:
            raise ExceptionGroup(f"The storage has not removed {len(errors)} of {len(names)} files.", errors)

    def _send_left(self, field: Any, names: Mapping[str, str], using: str) -> None:
        if names:
            files_left.send(sender=self.model, using=using, field=field.name, names=names)

    def _send_stored(self, upload: Upload, using: str) -> None:
        file_stored.send(sender=self.model, using=using, field=upload.field.name, upload=upload)


def _remember_alias(sender: Any, instance: Any, using: str, **kwargs: Any) -> None:
    """Remember the database of a save, where neither the instance nor a router says it to the field of the file."""
    if using == router.db_for_write(type(instance), instance=instance):
        instance._state.__dict__.pop(_ALIAS, None)
    else:
        setattr(instance._state, _ALIAS, using)


def _is_among(ours: frozenset[str], /, field: str, **kwargs: Any) -> bool:
    """Return whether a send is about one of these fields."""
    return field in ours


def _of(batch: Batch, field: Any, name: str) -> Iterator[Any]:
    """Yield a value of each send of a batch that is about a field."""
    return (event.kwargs[name] for event in batch.events if event.kwargs["field"] == field.name)


def _name(value: Any) -> str:
    """Return the name of a file; "" for none, and for a name that only the database knows."""
    return value if isinstance(value, str) else ""


# --- what is refused ----------------------------------------------------------------------------------------------


def _fields_of(text: str, model: type[Model], names: Sequence[str]) -> Iterator[Any]:
    for name in names:
        field = field_named(text, model, name, FileField)
        if field.model is not model._meta.concrete_model:
            label = field.model._meta.label
            raise TypeError(f"{text}: {name!r} is a column of {label}. Declare it for {label!r}.")
        yield field
    if not names:
        found = [*own_file_fields(model)]
        if not found:
            raise TypeError(f"{text}: {model._meta.label} has no FileField in its own table.")
        yield from found


def _policy(text: str, delivery: Any) -> Any:
    has_outbox = apps.is_installed("heliograph.outbox")
    if delivery is None:
        return heliograph.Durable(atomic=False) if has_outbox else OnCommit()
    is_late = isinstance(delivery, OnCommit) or (has_outbox and isinstance(delivery, heliograph.Durable))
    if not is_late or delivery.batch:
        raise TypeError(
            f"{text}: files are removed after the commit, and are put together without batch=True. Write"
            " delivery=OnCommit(), or delivery=Durable(atomic=False)."
        )
    return delivery


def _subject(text: str, field: Any) -> FilesInStorage:
    folder = folder_of(field)
    if not folder:
        raise TypeError(
            f"{text}: scan=True lists the folder of the files of {field.name!r}, and upload_to={field.upload_to!r} has"
            " none. Leave scan=True out, or begin upload_to with a folder of its own."
        )
    return FilesInStorage(Files(field), folder)
