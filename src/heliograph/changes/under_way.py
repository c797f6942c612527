"""Writes under way: the values of an instance's row before and after a save or a deletion, and the steps of a save."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Any, Self

from django.db import connections, router

from heliograph.changes.comparing import Comparison
from heliograph.changes.memory import recalled, remember, remembered
from heliograph.changes.plans import ABSENT, DERIVED, PLANS, SAVING, Plan, Prepared, Watching, is_among
from heliograph.changes.row_locks import in_locking_transaction, locked_parent, locked_row
from heliograph.changes.values import SCALARS, UNKNOWN, is_equal, is_expression, kept
from heliograph.changes.verified_updates import Verification, verification
from heliograph.orm.kept_columns import KEPT
from heliograph.orm.savepoint_times import now
from heliograph.orm.saving import FixtureSave, RowUpdate, SaveBase, TableWrite
from heliograph.orm.steps import Proceed


class UnderWay:
    """A write of an instance's row, to which its `_state` refers until the receivers have been called."""

    __slots__ = ("instance", "outer", "plan", "state")

    using: Any = None  # the alias of the database; None if the values were read from it, and so need no rounding

    def __init__(self, instance: Any, plan: Any) -> None:
        self.instance = instance
        self.state = instance._state
        self.plan = plan
        self.outer = running(instance)

    def __enter__(self) -> Self:
        self.state._heliograph_saving = self
        return self

    def __exit__(self, *error: object) -> None:
        self.instance = None  # it is over, also for a copy that still refers to it
        if getattr(self.state, SAVING, None) is self:
            if self.outer is None:
                del self.state._heliograph_saving
            else:
                self.state._heliograph_saving = self.outer

    def __reduce__(self) -> Any:
        return type(None), ()  # a copy or a pickle that a receiver makes is not being saved


class InBulk(UnderWay):
    """A row of a bulk write, with its values before and after; with None, a row that is new."""

    __slots__ = ("is_created", "new", "old")

    def __init__(self, instance: Any, compared: Comparison | None) -> None:
        super().__init__(instance, None if compared is None else compared.plan)
        self.old = () if compared is None else compared.old
        self.new = () if compared is None else compared.new
        self.is_created = compared is None

    def reloaded(self) -> None:
        """Do nothing: the written values are known."""


class Deleting(UnderWay):
    """A row that is being deleted, with the values that were read and locked before.

    `row` has the values by attribute; None if the row was gone before it could be locked.
    """

    __slots__ = ("is_gone", "new", "old", "using")

    is_created = False

    def __init__(self, instance: Any, plan: Plan, using: str, row: Mapping[str, Any] | None) -> None:
        super().__init__(instance, plan)
        self.using = using
        self.is_gone = row is None
        known = row or {}
        self.old = [known.get(name, value) for name, value in zip(plan.names, known_of(instance, plan), strict=True)]
        self.new = plan.nothing

    def reloaded(self) -> None:
        """Do nothing: the row is deleted."""


def written_by(instance: Any) -> Comparison | None:
    """Compare a row before and after the write that is under way; None if none is, or the row is not written yet."""
    write = running(instance)
    if write is None or write.new is None:
        return None
    return Comparison(write.plan, write.old, write.new, None, write.using)


def creates(write: TableWrite) -> bool:
    """Return whether a save that is about to write a row will create it, as far as this is known before.

    It is known of a row that was locked, of a save that can only insert or only update, and of an instance without a
    key. Otherwise an instance that was not loaded is taken for a new one, as Django does.
    """
    instance, saving = write.instance, running(write.instance)
    if write.force_update or write.update_fields:
        return False
    if type(saving) is Saving and saving.is_locked:
        return saving.is_missing
    return bool(write.force_insert or not instance._is_pk_set() or instance._state.adding)


def is_gone(instance: Any) -> bool:
    """Return whether another transaction had deleted the row of a deletion before it was locked."""
    deleting = running(instance)
    return type(deleting) is Deleting and deleting.is_gone


class Saving(UnderWay):
    """A save under way: the values of the row before, as far as they are known, and the written ones.

    Every save of a watched model makes one, so it does little, and computes what only receivers need when they ask.
    """

    __slots__ = (
        "_old",
        "absent",
        "fetched",
        "inserts",
        "is_alone",
        "is_begun",
        "is_created",
        "is_here",
        "is_locked",
        "is_missing",
        "memory",
        "new",
        "parents_there",
        "prepared",
        "raw",
        "using",
        "verified",
    )

    def __init__(self, instance: Any, plan: Plan, using: str, *, raw: bool, inserts: bool = False) -> None:
        self.instance = instance
        self.state = instance._state
        self.plan = plan
        self.outer = running(instance)
        self.inserts = inserts  # whether Django inserts the row without trying an update first
        self.using = using
        self.raw = raw  # whether the values of a fixture are written as they are
        self.is_here = self.state.db == using or _is_same_row(instance, using)
        self.memory = getattr(self.state, plan.memory, None) if self.is_here else None
        self.absent: Collection[str] = ()  # the names of the fields that were not loaded when the row was written
        self.new: Sequence[Any] | None = None  # the values in the row, as soon as it is written
        self.is_created = False
        self.is_begun = False  # whether the first of its tables was about to be written
        self.is_locked = False
        self.is_missing = False  # whether there was no row to lock
        self.verified: Verification | None = None  # the condition of its UPDATE that the row has the old values
        self.is_alone = False  # whether an UPDATE that finds other values raises StaleCopyError
        self.parents_there: tuple[Any, ...] = ()  # parents whose row was there and locked, if the row itself was not
        self.prepared: dict[str, Any] = {}  # the values that overridden `pre_save()` methods have returned
        self.fetched: dict[str, Any] = {}  # the values that were read from the database before the write
        self._old: Sequence[Any] | None = None

    @property
    def old(self) -> Sequence[Any]:
        """The values in the row before."""
        if self._old is None:
            self._old = recalled(self.memory, self.instance, self.plan)
            if self.fetched:
                self._old = [*map(self.fetched.get, self.plan.names, self._old)]
        return self._old

    def _recall(self) -> None:
        """Find the values anew, if somebody has asked: a batch may do so again when the save is over."""
        if self._old is not None:
            self._old = None
            self._old = self.old

    @property
    def comparison(self) -> Comparison | None:
        """Compare the row before and after, also when the save is over; None if the row is not written."""
        return None if self.new is None else Comparison(self.plan, self.old, self.new, None, self.using)

    def reloaded(self) -> None:
        """Take over the memory of an instance of which a receiver has read deferred fields, or which it has saved."""
        if self.new is None and self.is_here:
            self.memory = remembered(self.instance, self.plan)
            self._recall()

    def written(self, created: bool, names: Collection[str] | None) -> None:
        """Record the values in the row now; `names` are the names of the fields that were saved, None for all."""
        self.is_created = created
        row = self._all() if names is None else self._some(names)
        if self.is_locked and not self.is_missing:  # a collation may have found the row "de" by the key "DE"
            row = [*self.old[: self.plan.keys], *row[self.plan.keys :]]
        self.new = row = self._as_written(row, names) if self.plan.special else row
        if names is not None or self.absent:
            row = [old if value is ABSENT else value for old, value in zip(self.old, row, strict=True)]
        if self.plan.sources:
            row = self._without_derived(row)
        remember(self.instance, self.plan, row, now(connections[self.using]), self.memory)
        if KEPT and not (created or self.raw):
            self.new = self.plan.without_kept(self.new)
        if self.outer is not None:
            self.outer.reloaded()

    def _all(self) -> Sequence[Any]:
        try:
            values = self.plan.from_dict(self.instance.__dict__)
        except KeyError:
            return self._some(self.plan.names)
        return values if SCALARS.issuperset(map(type, values)) else [*map(kept, values)]

    def _some(self, names: Collection[str]) -> Sequence[Any]:
        """Return the values of these fields and of the primary key, and ABSENT for those that were not written."""
        values, absent = self.instance.__dict__, self.absent
        return [
            kept(values.get(field.attname, UNKNOWN))
            if field.attname not in absent and (field.primary_key or is_among(field, names))
            else ABSENT
            for field in self.plan.fields
        ]

    def needs_lock(self, is_first: bool, raw: bool, force_insert: Any) -> bool:
        """Return whether the row is to be locked before it is written, or before the first of its tables is."""
        if self.is_locked or not self.plan.locked:
            return False
        return self._may_be_there(raw, force_insert) or (is_first and not raw and any(self._keys_of_parents()))

    def is_verified(self) -> bool:
        """Return whether the UPDATE can verify the old values, so that no lock before it is needed."""
        if self.verified is None and not (self.is_locked or self.raw or self.absent):
            self.verified = verification(self.plan, self.using, self.old)
        return self.verified is not None

    def lock(self) -> None:
        """Lock the row, and read it, in an open transaction, before the first of its tables is written."""
        plan, self.is_locked, row = self.plan, True, None
        if self.instance._is_pk_set():
            row = locked_row(plan, plan.locked, self.using, self.instance.pk, are_kept=True)
        # A missing row is inserted without an UPDATE before, as with `select_on_save`: the UPDATE could find a row
        # that another transaction has inserted since, and whose old values are not known.
        self.is_missing = row is None
        self.fetched.update(dict.fromkeys(plan.locked, UNKNOWN) if row is None else _with_equals_of(self.instance, row))
        if self.is_missing and plan.model._meta.parents and not self.raw:
            self._lock_parents()
        self._recall()

    def _lock_parents(self) -> None:
        """Lock and read the rows of parents that are there already, of a row that is not."""
        for parent, key in self._keys_of_parents():
            row = locked_parent(parent, self.using, key, self._locked_of(parent))
            if row is not None:
                self.fetched.update(row)
                self.parents_there += (parent,)

    def _keys_of_parents(self) -> Iterator[tuple[Any, Any]]:
        """Yield the parents of which fields are locked and the instance has a key, each with the key."""
        for parent in self.instance._meta.all_parents:
            link, key = self.instance._meta.get_ancestor_link(parent), getattr(self.instance, parent._meta.pk.attname)
            key = getattr(self.instance, link.attname, None) if key is None and link is not None else key
            if key is not None and self._locked_of(parent):
                yield parent, key

    def _locked_of(self, parent: Any) -> list[str]:
        """Return the attributes of the locked fields that are in the table of a parent."""
        return [one.attname for one in self.plan.fields if one.model is parent and one.attname in self.plan.locked]

    def _may_be_there(self, raw: bool, force_insert: Any) -> bool:
        """Return whether the save may update an existing row."""
        instance = self.instance
        inserts = self.inserts or force_insert or (not raw and _has_default_key(instance))
        return instance._is_pk_set() and not inserts

    def _as_written(self, row: Sequence[Any], names: Collection[str] | None) -> Sequence[Any]:
        """Return a row with the written values, also of special fields, whose attribute may have another value."""
        plan, row = self.plan, [*row]
        for at in plan.presented | plan.prepared:
            if row[at] is not ABSENT and plan.names[at] in self.instance.__dict__:
                row[at] = self._prepared(plan.names[at])
        for at, sources in plan.sources.items():
            written = [plan.fields[source] for source in sources if is_among(plan.fields[source], names)]
            row[at] = self._generated(plan.names[at], is_written=bool(written))
        return row

    def _prepared(self, name: str) -> Any:
        """Return the value that Django has written for a field: the result of its `pre_save()`, or its attribute."""
        attribute = kept(getattr(self.instance, name))
        value = self.prepared.get(name, attribute)
        if value is attribute or is_expression(value):  # Django may have read the value of an expression since
            return attribute
        value = kept(value)
        return attribute if is_equal(value, attribute) else Prepared(value, attribute)

    def _generated(self, name: str, *, is_written: bool) -> Any:
        """Return the value of a generated field if Django has read it since; DERIVED if it follows from others."""
        features = connections[self.using].features
        is_read = self.is_created or (is_written and getattr(features, "can_return_rows_from_update", False))
        return kept(self.instance.__dict__.get(name, UNKNOWN)) if is_read else DERIVED

    def _without_derived(self, row: Sequence[Any]) -> Sequence[Any]:
        """Return a row to remember, with the old values of generated fields, or UNKNOWN if these have changed."""
        compared = Comparison(self.plan, self.old, row, None, self.using)
        pairs = zip(range(len(row)), self.old, row, strict=True)
        return [(old if compared.change(at) is None else UNKNOWN) if new is DERIVED else new for at, old, new in pairs]

    def fetch(self, raw: bool, force_insert: Any) -> None:
        """Read the values that receivers ask for and the instance does not know from the database, before the save."""
        names = [name for name in self.plan.names if self._is_wanted(name)]
        if not names or not self._may_be_there(raw, force_insert):
            return
        rows = self.plan.model._base_manager.using(self.using).filter(pk=self.instance.pk).values_list(*names)[:1]
        for row in rows:
            self.fetched, self._old = dict(zip(names, row, strict=True)), None

    def _is_wanted(self, name: str) -> bool:
        plan = self.plan
        return name in plan.asked or (name in plan.fetched and self.old[plan.positions[name]] is UNKNOWN)


def _with_equals_of(instance: Any, row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a row, each as the object that the instance has if this is equal.

    Most fields of a row are saved as they are, and a comparison need not look at two values that are one object.
    """
    values, same = instance.__dict__, dict(row)
    for name, value in row.items():
        own = values.get(name)
        if type(own) is type(value) and type(own) in SCALARS and own == value:
            same[name] = own
    return same


def _is_same_row(instance: Any, using: str) -> bool:
    """Return whether a save to another database than the instance was read from is to the same row.

    So it is for an instance that was read from a replica, or from nowhere, if the router lets it be written there.
    """
    return instance._state.db is None or router.db_for_write(type(instance), instance=instance) == using


def _has_default_key(instance: Any) -> bool:
    """Return whether Django inserts a new instance without trying an update."""
    fields = instance._meta.pk_fields
    return instance._state.adding and all(field.has_default() or field.has_db_default() for field in fields)


def known_of(instance: Any, plan: Plan) -> Sequence[Any]:
    """Return the values that an instance remembers of its row."""
    return recalled(remembered(instance, plan), instance, plan)


def running(instance: Any) -> Any:
    """Return the innermost write of an instance's row that is under way, or None."""
    write = getattr(instance._state, SAVING, None)
    return write if write is not None and write.instance is instance else None  # a copy refers to its source's


# --- the steps around a save ------------------------------------------------------------------------------------


def remember_save(watching: Watching, proceed: Proceed, save: SaveBase) -> Any:
    """Let a `Saving` be under way while pre_save is sent, the row is written and post_save is sent."""
    instance = save.instance
    plan = watching.plan() if type(instance) is watching.model else None
    if plan is None:
        return proceed(save)
    if plan.writes and save.update_fields is not None:
        save.update_fields = set(save.update_fields)  # which receivers of pre_save add to
    using = save.using or router.db_for_write(watching.model, instance=instance)
    with Saving(instance, plan, using, raw=save.raw, inserts=bool(save.force_insert)) as under_way:
        if plan.fetched or plan.asked:
            under_way.fetch(save.raw, save.force_insert)
        return proceed(save)


def remember_row(watching: Watching, proceed: Proceed, write: TableWrite) -> Any:
    """Lock the row if a receiver asks for it, and remember the values that are written."""
    instance = write.instance
    under_way = running(instance)
    if type(instance) is not watching.model or type(under_way) is not Saving:
        return _remember_row_alone(watching, proceed, write)
    is_first, under_way.is_begun = not under_way.is_begun, True
    # Of several tables, the write of the first one takes from the instance the values that a database has computed.
    if is_first and not instance.__dict__.keys() >= under_way.plan.attributes:
        under_way.absent = under_way.plan.absent_from(instance)
    needs_lock = under_way.plan.locked and under_way.needs_lock(is_first, write.raw, write.force_insert)
    needs_lock = needs_lock and not under_way.is_verified()
    with in_locking_transaction(under_way.using, under_way.plan.model) if needs_lock else _NO_LOCK:
        if needs_lock:
            under_way.lock()
        if write.is_last and under_way.is_missing and not (write.force_update or write.update_fields):
            write.force_insert = True
        updated = proceed(write)
        # The method of a model may have gone through this step again, which has then remembered the row.
        if write.is_last and under_way.new is None:
            under_way.written(not updated, write.update_fields)
        return updated


_NO_LOCK = nullcontext()


class StaleCopyError(Exception):
    """An UPDATE without a transaction has found no row with the values that the instance remembers."""


def update_verified(proceed: Proceed, update: RowUpdate) -> Any:
    """Update a row if it has the remembered values, or else lock it before, so that its old values are known."""
    saving = running(update.instance)
    verified = saving.verified if type(saving) is Saving else None
    if verified is None:
        return proceed(update)
    saving.verified = None
    if update.values:
        rows = update.rows.extra(where=[verified.sql], params=verified.params)
        updated = proceed(replace(update, rows=rows))
        if updated:
            return updated
        if saving.is_alone:
            raise StaleCopyError
    with in_locking_transaction(saving.using, saving.plan.model):
        saving.lock()
        return [] if saving.is_missing else proceed(update)


def _remember_row_alone(watching: Watching, proceed: Proceed, write: TableWrite) -> Any:
    """Write a row for somebody who has called `Model.save_base`, past the method of the model."""
    instance = write.instance
    plan = watching.plan() if type(instance) is watching.model else None
    if plan is None:
        return proceed(write)
    with Saving(instance, plan, write.using or instance._state.db, raw=write.raw):
        return remember_row(watching, proceed, write)


def remember_fixture(proceed: Proceed, save: FixtureSave) -> None:
    """Let a `Saving` be under way for an instance of a fixture: it is saved past the method of its model."""
    instance = save.loaded.object
    plan = PLANS.get(type(instance))
    if plan is None:
        proceed(save)
        return
    inserts = bool(save.options.get("force_insert", False))
    alias = save.using or router.db_for_write(type(instance), instance=instance)
    with Saving(instance, plan, alias, raw=True, inserts=inserts) as under_way:
        if plan.fetched or plan.asked:
            under_way.fetch(raw=True, force_insert=inserts)
        proceed(save)


def record_value(proceed: Proceed, field: Any, instance: Any, *args: Any, **kwargs: Any) -> Any:
    """Record the value that a field with its own `pre_save()` writes."""
    value = proceed(field, instance, *args, **kwargs)
    under_way = running(instance)
    if type(under_way) is Saving:
        under_way.prepared[field.attname] = value
    return value
