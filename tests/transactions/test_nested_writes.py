"""Batches of rows that a receiver of a new row has written again, before others have received its creation."""

import pytest
from django.db import transaction

from heliograph import BeforeCommit, changed, created
from heliograph.signals import post_delete, post_save
from tests.app.models import Novel

pytestmark = pytest.mark.django_db(transaction=True)


def save_again(instance):
    instance.name = f"{instance.name}!"
    instance.save()


WRITES = {
    "save": save_again,
    "update": lambda instance: Novel.objects.filter(pk=instance.pk).update(name="a!"),
    "bulk_update": lambda instance: Novel.objects.bulk_update([Novel(pk=instance.pk, name="a!")], ["name"]),
}


@pytest.fixture
def batches(receive):
    """Collect the rows of a receiver that is connected after one that writes each new row again."""

    def connect(write):
        received = []

        @receive(post_save, sender=Novel, when=created)
        def rewrite(sender, instance, **kwargs):
            write(instance)

        @receive(
            [post_save, post_delete],
            sender=Novel,
            when=created | changed("name"),
            bulk=True,
            delivery=BeforeCommit(batch=True),
        )
        def collect(sender, batch, **kwargs):
            received.append(([event.kind for event in batch.events], [row[1:] for row in batch.values("name")]))

        return received

    return connect


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_a_new_row_that_a_receiver_writes_again_is_created_with_its_last_values(batches, write):
    received = batches(write)
    with transaction.atomic():
        Novel.objects.create(name="a")
    assert received == [(["created"], [(None, ("a!",))])]


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_a_new_row_that_is_written_again_and_deleted_is_no_event(batches, write):
    received = batches(write)
    with transaction.atomic():
        Novel.objects.create(name="a").delete()
    assert received == []


def test_a_row_that_is_deleted_and_made_again_is_updated(batches):
    novel = Novel.objects.create(name="z")
    received = batches(save_again)
    with transaction.atomic():
        Novel.objects.filter(pk=novel.pk).update(name="y")
        Novel.objects.filter(pk=novel.pk).delete()
        Novel.objects.create(pk=novel.pk, name="a")
    assert received == [(["updated"], [(("z",), ("a!",))])]
