"""A background task for each new order."""

from celery import Celery
from django.db.models.signals import post_save
from heliograph import Durable, created, receiver

from examples.tutorial.models import Order

app = Celery("tutorial", broker="memory://", set_as_current=False, fixups=[])


@app.task
def index_order(pk):
    order = Order.objects.get(pk=pk)
    order.is_indexed = True
    order.save()


def start_task(sender, instance, created, **kwargs):
    if created:
        index_order.delay(instance.pk)


def as_written():
    post_save.connect(start_task, sender=Order)


def index(sender, instance, **kwargs):
    instance.is_indexed = True
    instance.save()


def ours():
    receiver(post_save, sender=Order, when=created, delivery=Durable())(index)
