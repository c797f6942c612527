"""Samples: a few rows of each subject are compared with their truth, since rows may be older than a declaration."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from django.core.checks import CheckMessage, Warning
from django.db import DEFAULT_DB_ALIAS, DatabaseError, transaction

from heliograph.recipes.subjects import Sample, SampledSubject, Subject


def warnings_of(subjects: Iterable[Subject], databases: Iterable[str]) -> Iterator[CheckMessage]:
    """Yield a warning for each subject of which a sample on one of these databases differs from its truth."""
    sampled = [one for one in subjects if isinstance(one, SampledSubject)]
    for using in databases:
        for subject in sampled:
            sample = _sample_of(subject, using)
            if sample is not None and sample.found:
                yield _warning(subject, sample, using)


def _sample_of(subject: SampledSubject, using: str) -> Sample | None:
    """Return a sample, or None where there is no table yet, or no answer in time: a check must not end a deployment."""
    try:
        with transaction.atomic(using):
            return subject.sample(using)
    except DatabaseError:
        return None


def _warning(subject: SampledSubject, sample: Sample, using: str) -> CheckMessage:
    option = "" if using == DEFAULT_DB_ALIAS else f" --database {using}"
    return Warning(
        f"{subject.label}: {len(sample.found)} of {sample.size} sampled rows are wrong, such as: {sample.found[0]}. The"
        " declaration may be newer than the rows.",
        hint=f"Fill them: manage.py recipes backfill {subject.label}{option}.",
        obj=subject.label,
        id="heliograph.W202",
    )
