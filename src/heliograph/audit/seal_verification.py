"""Verification: entries are compared with their seals, and each that was altered, removed or added is named."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field

from django.db.models import Max, Min

from heliograph.audit.alterations import Alterations
from heliograph.audit.chain import digest_of_seal, last_seal, rows, seals
from heliograph.audit.digests import leaves_in, root_of, shown
from heliograph.audit.entry_rows import Leaf, Leaves
from heliograph.audit.models import Entry, Link, Seal
from heliograph.audit.recorded_ids import RecordedIds
from heliograph.outbox.manage.ranges import ids_of, text_of

Progress = Callable[[int], object]  # is called with how many entries there were so far

_SEALS = 200  # that are read at a time


@dataclass
class Counts:
    """How many entries a verification has looked at."""

    sealed: int = 0
    unsealed: int = 0
    pruned: int = 0
    forgotten: int = 0
    seals: int = 0


@dataclass
class Verification:
    """Verifies the audit log of a database; `findings()` yields what is wrong, in the order of the entries."""

    using: str
    first: int = 1  # the number of the seal to begin with; the seals before are trusted
    heads: Collection[str] = ()  # digests that were kept elsewhere, which seals must still have
    progress: Progress = lambda count: None
    counts: Counts = field(default_factory=Counts)

    def findings(self) -> Iterator[str]:
        """Yield a sentence for each thing that is wrong."""
        self._leaves = Leaves(self.using, with_texts=True)
        yield from self._dropped_heads()
        before = last_seal(self.using, link=Link.SEALED, pk__lt=self.first)
        last = 0 if before is None else before.last
        for seal in self._chain():
            yield from seal.findings
            if seal.row.link == Link.SEALED:
                if seal.is_trusted:
                    yield from self._of_range(seal.row, seal.row.first - 1 if seal.findings else last)
                last = seal.row.last
        yield from self._of_unsealed(None, 0)  # imported entries have numbers below zero, and no seal
        yield from self._of_unsealed(last, None)

    # --- the chain ------------------------------------------------------------------------------------------------

    def _dropped_heads(self) -> Iterator[str]:
        there = {*seals(self.using).filter(digest__in=self.heads).values_list("digest", flat=True)}
        for head in self.heads:
            if head not in there:
                yield f"No seal has the digest {head}: seals were dropped, or the chain was written anew."

    def _chain(self) -> Iterator[_Followed]:
        """Yield the seals in order, each with what is wrong about its number and its digest."""
        number, former = self.first, self._digest_before()
        while found := [*seals(self.using).filter(pk__gte=number).order_by("pk")[:_SEALS]]:
            for row in found:
                yield _followed(row, number, former)
                number, former = row.pk + 1, row.digest
                self.counts.seals += 1

    def _digest_before(self) -> str:
        found = seals(self.using).filter(pk=self.first - 1).values_list("digest", flat=True)
        return str(found[0]) if found else ""

    # --- entries --------------------------------------------------------------------------------------------------

    def _of_range(self, seal: Seal, after: int) -> Iterator[str]:
        """Yield what is wrong with the entries of a seal."""
        expected, pruned = self._expected(seal), RecordedIds(self.using, Link.PRUNED, seal.first, seal.last)
        yield from self._wrong_leaves(seal, expected, pruned)
        alterations, missing = Alterations(self.using, seal.first, seal.last), {**expected}
        for leaf in self._leaves.between(after, seal.last):
            number = leaf.entry.id
            reasons = alterations.of(leaf)
            if missing.pop(number, None) is None or number in pruned:
                yield f"{_named(leaf)} was added later: seal #{seal.pk} has closed these entries without it."
            elif reasons or expected[number] not in (leaf.hash, b""):
                yield f"{_named(leaf)} was altered: {_reason(reasons, seal)}."
            self._count("sealed")
        self.counts.forgotten += alterations.forgotten
        removed = [number for number in missing if number not in pruned]
        self.counts.pruned += len(missing) - len(removed)
        if removed:
            yield f"Entry #{text_of(removed)} was removed: seal #{seal.pk} has it, and no prune is recorded."

    def _expected(self, seal: Seal) -> dict[int, bytes]:
        """Return the leaves that a seal has, by the ids of the entries; empty where they are lost."""
        joined = rows(Seal, self.using).filter(pk=seal.pk).values_list("leaves", flat=True)
        ids, leaves = ids_of(seal.ids), leaves_in(bytes(joined[0]))
        if shown(root_of(leaves)) != seal.root or len(leaves) != len(ids):
            leaves = [b""] * len(ids)
        return dict(zip(ids, leaves, strict=True))

    def _wrong_leaves(self, seal: Seal, expected: dict[int, bytes], pruned: RecordedIds) -> Iterator[str]:
        """Yield a sentence if a seal has no leaves, unless all its entries are pruned."""
        if any(expected.values()) or all(number in pruned for number in expected):
            return
        hashes = [one.hash for one in self._leaves.between(seal.first - 1, seal.last)]
        wrong = "" if shown(root_of(hashes)) == seal.root else ", and at least one of its entries"
        yield f"The leaves of seal #{seal.pk} were altered{wrong}."

    def _of_unsealed(self, after: int | None, last: int | None) -> Iterator[str]:
        """Yield what is wrong with entries that have no seal: each is compared with its own digest only."""
        ends = rows(Entry, self.using).aggregate(lowest=Min("pk"), highest=Max("pk"))
        first = (ends["lowest"] or 0) - 1 if after is None else after
        alterations = Alterations(self.using, first, (ends["highest"] or 0) if last is None else last)
        for leaf in self._leaves.between(first, last):
            if reasons := alterations.of(leaf):
                yield f"{_named(leaf)}, which has no seal, was altered: {'; '.join(reasons)}."
            self._count("unsealed")
        self.counts.forgotten += alterations.forgotten

    def _count(self, name: str) -> None:
        setattr(self.counts, name, getattr(self.counts, name) + 1)
        total = self.counts.sealed + self.counts.unsealed
        if total % 1000 == 0:
            self.progress(total)


@dataclass(frozen=True)
class _Followed:
    """A seal, with what is wrong about its place in the chain."""

    row: Seal
    findings: Sequence[str]
    is_trusted: bool  # whether its columns are those that it was closed with, as far as can be known


def _followed(row: Seal, number: int, former: str) -> _Followed:
    if row.pk != number:
        last = f" to #{row.pk - 1}" if row.pk > number + 1 else ""
        return _Followed(row, [f"Seal #{number}{last} was removed."], True)
    if digest_of_seal(row, former) != row.digest:
        text = f"Seal #{row.pk} was altered, or the seal before it: its digest is not that of its columns."
        return _Followed(row, [text], False)
    return _Followed(row, [], True)


def _named(leaf: Leaf) -> str:
    kind = f" ({leaf.kind[0]} {leaf.entry.object}, {leaf.kind[1]})" if leaf.kind else ""
    return f"Entry #{leaf.entry.id}{kind}"


def _reason(reasons: Sequence[str], seal: Seal) -> str:
    return "; ".join(reasons) or f"it has another object, kind, digest or change set than seal #{seal.pk} has closed"
