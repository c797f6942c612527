"""Tasks, for Djangos that have them."""

from django.tasks import task


@task
def double(number):
    return 2 * number


@task
def fail():
    raise ZeroDivisionError("the task failed")
