"""Related rows: each row of a model has one row of another model, which is inserted in the same transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import NotSupportedError
from django.db.models import Exists, ForeignKey, Model, OuterRef

from heliograph import Batch, Inline, created, raw
from heliograph.building import writing
from heliograph.recipes.declarations import Declaration, declare, written
from heliograph.recipes.fields import field_named
from heliograph.recipes.inserting import insert_missing, locked, unique_sets, values_of, verify_can_insert
from heliograph.recipes.subjects import Difference, SubjectOfRows
from heliograph.signals import post_save

Values = Mapping[str, Any]
Defaults = Values | Callable[[Any], Values]


def ensure_related(model: type[Model] | str, to: str, defaults: Defaults | None = None) -> Declaration:
    """Let each row to which a unique foreign key refers have one row of the model.

        ensure_related(Profile, to="user", defaults={"locale": "en"})

    This inserts a profile for each new user, in the same transaction: after `save()` and `create()`, and by one INSERT
    after `bulk_create()`. `defaults` are the values of the profile, or a function that returns them for a user.
    Fixtures are left alone. `manage.py recipes backfill` makes the profiles of users that are older. The model may be
    named "app.Model". Returns a `Declaration`.

    Raises TypeError, with what to do, for a field that does not fit; if models are not loaded yet, a system check
    reports it. A `bulk_create()` on a database that does not return its keys raises NotSupportedError.
    """
    text = written("ensure_related", model, to=to, **({} if defaults is None else {"defaults": defaults}))

    def connect(declaration: Declaration, model: type[Model]) -> None:
        field = _verified(text, model, field_named(text, model, to, ForeignKey))
        relation = Relation(model, field, _verified_defaults(text, model, field, defaults))
        declaration.connect(
            post_save,
            Creating(relation),
            sender=relation.owner,
            subclasses=True,
            when=created & ~raw,
            bulk=True,
            delivery=Inline(batch=True),
        )
        declaration.subjects = (SubjectOfRelation(relation.label, relation.owner, relation),)

    return declare(text, connect, model)


@dataclass(frozen=True)
class Relation:
    """The rows of a model of which each row of another model, the owner, has one."""

    model: type[Model]
    field: Any  # the foreign key
    defaults: Callable[[Any], Values]

    @property
    def owner(self) -> type[Model]:
        """The model whose rows have one each."""
        owner: type[Model] = self.field.remote_field.model._meta.concrete_model
        return owner

    @property
    def label(self) -> str:
        """The model and its foreign key, such as "app.Profile.user"."""
        return f"{self.model._meta.label}.{self.field.name}"

    def create(self, owners: Sequence[Any], using: str) -> None:
        """Insert a row for each of these owners, but for those who have one."""
        insert_missing(self.model, owners, self._made, lambda owners: self._without(owners, using), using)
        for owner in owners:
            self._forget_absence(owner)

    def _made(self, owner: Any) -> Model:
        made = self.model(**{**self.defaults(owner), self.field.attname: self._value(owner)})
        # Only this side: the other side would keep an instance that a rollback may undo.
        self.field.set_cached_value(made, owner)
        return made

    def _value(self, owner: Any) -> Any:
        return values_of(owner, [self.field.target_field])[0]

    def _without(self, owners: Sequence[Any], using: str) -> Sequence[Any]:
        """Query for the owners without a row."""
        rows = self.model._base_manager.using(using)
        known = {f"{self.field.attname}__in": [self._value(owner) for owner in owners]}
        there = {*rows.filter(**known).values_list(self.field.attname, flat=True)}
        return [owner for owner in owners if self._value(owner) not in there]

    def _forget_absence(self, owner: Any) -> None:
        """Let an owner that was asked for its row before there was one query for it again."""
        reverse = self.field.remote_field
        if self.field.one_to_one and reverse.get_cached_value(owner, default=owner) is None:
            reverse.delete_cached_value(owner)

    def lacking(self, using: str, keys: Sequence[Any]) -> Iterator[Any]:
        """Query for the owners, among those with these primary keys, that have no row; yield their keys."""
        rows = self.model._base_manager.using(using)
        own = rows.filter(**{self.field.attname: OuterRef(self.field.target_field.attname)})
        owners = self.owner._base_manager.using(using).filter(~Exists(own), pk__in=keys)
        return iter(owners.order_by("pk").values_list("pk", flat=True))

    def mend(self, using: str, keys: Sequence[Any]) -> None:
        """Insert the rows of the owners with these primary keys that still exist, and have none."""
        with writing(self.owner, using):
            owners = [*locked(self.owner._base_manager.using(using).filter(pk__in=keys), using)]
            self.create(self._without(owners, using), using)


class Creating:
    """The receiver of new owners."""

    def __init__(self, relation: Relation) -> None:
        self.relation = relation
        self.__name__ = self.__qualname__ = f"ensure_related({relation.label})"

    def __call__(self, sender: Any, batch: Batch, using: str, **kwargs: Any) -> None:
        """Insert a row for each new owner."""
        name = self.relation.field.target_field.attname
        if any(getattr(owner, name) is None for owner in batch.created):
            raise NotSupportedError(
                f"{self.__name__}: the database {using!r} did not return the keys of the rows that bulk_create()"
                f" inserted into {sender._meta.label}, so nothing can refer to them. Save the rows one by one, or give"
                " them keys."
            )
        self.relation.create(batch.created, using)


@dataclass(frozen=True)
class SubjectOfRelation(SubjectOfRows):
    """The rows that each owner has."""

    relation: Relation

    def describe(self) -> str:
        return f"{self.label}: a row for each {self.model._meta.label}"

    def differences(self, using: str, keys: Sequence[Any]) -> Iterator[Difference]:
        return (Difference(self.label, key, "missing", "a row") for key in self.relation.lacking(using, keys))

    def mend(self, using: str, keys: Sequence[Any]) -> None:
        self.relation.mend(using, keys)


# --- what is refused ----------------------------------------------------------------------------------------------


def _verified(text: str, model: type[Model], field: Any) -> Any:
    """Return a foreign key if each row that it refers to can have one row, and is not itself a row of the model."""
    owner = field.remote_field.model
    verify_can_insert(text, model)
    if owner._meta.concrete_model is model._meta.concrete_model:
        raise TypeError(f"{text}: each row of {model._meta.label} would need another one, without end.")
    if frozenset([field.name]) not in {*unique_sets(model)}:
        raise TypeError(
            f"{text}: several rows of {model._meta.label} may refer to one row of {owner._meta.label}, so two"
            f" transactions might both insert one. Make {field.name!r} a OneToOneField, or add"
            f" UniqueConstraint(fields=[{field.name!r}], name=...)."
        )
    return field


def _verified_defaults(text: str, model: type[Model], field: Any, defaults: Any) -> Callable[[Any], Values]:
    if callable(defaults):
        return defaults  # type: ignore[no-any-return]
    if not isinstance(defaults, Mapping | None):
        raise TypeError(f"{text}: defaults= takes a mapping, or a function of the row, not {defaults!r}.")
    values = {**(defaults or {})}
    for name in values:
        if field_named(text, model, name) is field:
            raise TypeError(f"{text}: {name!r} is the row itself. Leave it out of defaults.")
    return lambda owner: values
