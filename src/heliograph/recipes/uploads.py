"""Uploads: the files that instances store in a file field, and what an instance has after its save was rolled back."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from functools import partial
from typing import Any

from django.core.files import File
from django.db.models import Model
from django.db.models.fields.files import FieldFile


class Upload:
    """A file that an instance stores, or has stored.

    Its content is kept only for as long as the file is being stored, or somebody else keeps it, such as a request.
    """

    def __init__(self, field: Any, instance: Model, filename: str) -> None:
        file = instance.__dict__[field.attname]
        self.field = field
        self.filename = filename  # which `upload_to` and the storage make a name of
        self.instance = weakref.ref(instance)
        self._file: Any = file  # until it is stored
        self._before = file.name if file._committed else None
        self._name = ""
        self._content: Callable[[], Any] = _nothing

    def stored_name(self) -> str:
        """Return the name in the storage, and let go of the content; "" if the file is not stored."""
        file = self._file
        if file is not None and file.name and file._committed and file.name != self._before:
            content = file.__dict__.get("_file")
            self._content = _nothing if content is None else weakref.ref(content)
            self._name, self._file = file.name, None
        return self._name

    def give_back(self) -> None:
        """Let the instance have its upload again, which another save stores again."""
        instance, name = self.instance(), self.stored_name()
        if instance is not None and name and _name_in(instance, self.field) == name:
            instance.__dict__[self.field.attname] = self._again()

    def _again(self) -> File[Any]:
        content = self._content()
        if content is None or content.closed:
            return StoredFile(self)
        return File(content, self.filename)


def _nothing() -> None:
    """Stand for a reference to an object that is gone."""


def _name_in(instance: Model, field: Any) -> str:
    """Return the name of the file that an instance has, without loading it."""
    file = instance.__dict__.get(field.attname)
    return str(getattr(file, "name", file) or "")


class StoredFile(File):  # type: ignore[type-arg]  # it takes no arguments when it runs
    """The content of a file that was stored, and may have been removed when its row was rolled back."""

    def __init__(self, upload: Upload) -> None:
        self._upload = upload
        self._opened: Any = None
        super().__init__(None, upload.filename)

    @property
    def file(self) -> Any:
        """The open file. Raises FileNotFoundError if it is gone."""
        if self._opened is None:
            field, name = self._upload.field, self._upload.stored_name()
            if not field.storage.exists(name):
                raise FileNotFoundError(
                    f"{field}: {name!r} was removed when the transaction that had stored it was rolled back. Assign the"
                    " file again before you save the row again."
                )
            self._opened = field.storage.open(name)
        return self._opened

    @file.setter
    def file(self, file: Any) -> None:
        self._opened = file

    def __del__(self) -> None:
        if self._opened is not None:  # no storage closes what it stores
            self._opened.close()


# --- noticing what is stored --------------------------------------------------------------------------------------

_latest = threading.local()  # of each thread, a reference to the upload that came last


def watch(field: Any, begin: Callable[[Upload], None]) -> Callable[..., Any]:
    """Call a function with each upload to a field, right before it is stored; return the function that ends this.

    Django's `FieldFile.save()` asks the field for the name, and no signal is sent: neither for the files that `save()`
    and `bulk_create()` of rows store, nor for `instance.thumbnail.save(name, content)`.
    """
    generate = field.generate_filename

    def generate_filename(instance: Any, filename: str) -> Any:
        name = generate(instance, filename)
        file = instance.__dict__.get(field.attname)
        if isinstance(file, FieldFile):
            _verify_content(file)
            begin(_as_latest(Upload(field, instance, filename)))
        return name

    field.generate_filename = generate_filename
    return partial(field.__dict__.pop, "generate_filename", None)


def _as_latest(upload: Upload) -> Upload:
    """Return an upload, after letting go of the content of the one before, which is stored by now."""
    before = getattr(_latest, "upload", _nothing)()
    if before is not None:
        before.stored_name()
    _latest.upload = weakref.ref(upload)
    return upload


def _verify_content(file: Any) -> None:
    """Raise FileNotFoundError for content that is gone, before the storage begins with a new file."""
    content = file.__dict__.get("_file")
    if isinstance(content, StoredFile) and not file._committed:
        _ = content.file
