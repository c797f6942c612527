"""Forgetting: the values and salts of entries about a person go, and the digests stay, so that seals hold.

These entries are about a person: those of the person's own row, also in tables of parents and children; all entries of
rows that have belonged to the person at any time, by the `subject` of their model; and entries that name the person by
a foreign key in `names`. Change sets by the person lose the label, the reason and the context; change sets about the
person alone lose the reason and the context.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Exists, OuterRef, QuerySet

from heliograph.audit.chain import add_seal, locked_chain, rows
from heliograph.audit.digests import pair_of
from heliograph.audit.models import ChangeSet, Entry, Link
from heliograph.audit.person_entries import Person, batches_about

CHUNK = 500  # entries or change sets of one transaction

Progress = Callable[[int], object]  # is called with how many entries there were so far


@dataclass
class Forgotten:
    """The entries and change sets whose values were forgotten, or would be."""

    entries: set[int] = field(default_factory=set)
    labels: set[int] = field(default_factory=set)  # of change sets by the person
    reasons: set[int] = field(default_factory=set)  # of change sets about the person
    shared: set[int] = field(default_factory=set)  # change sets that are about others too, whose reason stays


@dataclass
class Forgetting:
    """Forgets a person; if the process is killed, the next run forgets the rest."""

    person: Person
    reason: str = ""  # stored in the seal, which shows an auditor that this was no attack
    with_shared: bool = False  # whether reasons of change sets go that are about others too
    is_dry: bool = False
    progress: Progress = lambda count: None
    done: Forgotten = field(default_factory=Forgotten)

    def run(self) -> Forgotten:
        """Forget, in chunks of one transaction each, and return what was forgotten."""
        for ids in batches_about(self.person):
            for start in range(0, len(ids), CHUNK):
                self._forget_entries(ids[start : start + CHUNK])
                self.progress(len(self.done.entries))
        for ids in self._by_person():
            with locked_chain(self.person.using):
                self._clear_sets(ids, with_labels=True)
        self.done.shared -= self.done.reasons | self.done.labels
        return self.done

    # --- entries --------------------------------------------------------------------------------------------------

    def _forget_entries(self, ids: Sequence[int]) -> None:
        using = self.person.using
        with locked_chain(using):
            entries = rows(Entry, using).filter(pk__in=ids).exclude(text="", salt="")
            found = [*entries.order_by("pk").values_list("pk", "change_set_id")]
            self.done.entries.update(number for number, _ in found)
            if found and not self.is_dry:
                entries.update(text="", salt="")
                add_seal(using, Link.FORGOTTEN, [number for number, _ in found], reason=self.reason)
            self._clear_sets(self._about_person({number for _, number in found}), with_labels=False)

    def _about_person(self, sets: set[int]) -> list[int]:
        """Return the change sets with a reason that goes with these entries, and remember those that are shared."""
        using = self.person.using
        others = rows(Entry, using).filter(change_set=OuterRef("pk")).exclude(text="", salt="")
        if self.is_dry:
            others = others.exclude(pk__in=[*self.done.entries][-CHUNK:])
        found = rows(ChangeSet, using).filter(pk__in=sets).exclude(reason="", context="")
        about = {*found.filter(~Exists(others)).values_list("pk", flat=True)}
        shared = {*found.values_list("pk", flat=True)} - about
        self.done.shared |= shared
        return sorted(about | shared if self.with_shared else about)

    # --- change sets ----------------------------------------------------------------------------------------------

    def _by_person(self) -> Iterator[list[int]]:
        """Yield the change sets that the person has caused, in chunks."""
        after = 0
        while True:
            by = rows(ChangeSet, self.person.using).filter(actor__in=self.person.actors, pk__gt=after)
            with_texts = by.exclude(actor_label="", reason="", context="")
            if not (ids := [*with_texts.order_by("pk").values_list("pk", flat=True)[:CHUNK]]):
                return
            yield ids
            after = ids[-1]

    def _clear_sets(self, ids: Sequence[int], *, with_labels: bool) -> None:
        """Remove the reasons and contexts of change sets, and the labels of those by the person."""
        found: QuerySet[Any] = rows(ChangeSet, self.person.using).filter(pk__in=ids).order_by("pk")
        sets = [*found]
        reasons = [one for one in sets if one.reason or one.context]
        labels = [one for one in sets if with_labels and one.actor_label]
        for names, cleared, link in (
            (("reason", "context"), reasons, Link.REASONS),
            (("actor_label",), labels, Link.LABELS),
        ):
            numbers = [one.pk for one in cleared]
            (self.done.reasons if link == Link.REASONS else self.done.labels).update(numbers)
            if numbers and not self.is_dry:
                self._clear(cleared, names, link)
                add_seal(self.person.using, link, numbers, reason=self.reason)

    def _clear(self, sets: Sequence[Any], names: Sequence[str], link: Link) -> None:
        for one in sets:
            label, reason = pair_of(one.salts)
            one.salts = f"{label}," if link == Link.REASONS else f",{reason}"
            for name in names:
                setattr(one, name, "")
        rows(ChangeSet, self.person.using).bulk_update(sets, [*names, "salts"])
