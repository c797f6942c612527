"""Pieces of the scripts that tests of adoption run in a process of their own."""

# What a script needs to compare Django's classes before and after.
PHOTOGRAPH = """
from django.db.models.signals import ModelSignal, post_save
from django.dispatch import Signal, dispatcher

def photograph():
    return {(owner, name): value for owner in (Signal, ModelSignal, dispatcher) for name, value in vars(owner).items()}

def codes():
    return {name: value.__code__ for name, value in vars(Signal).items() if hasattr(value, "__code__")}
"""

RECEIVERS = """
class Order:
    pass

class Bakery(Order):
    pass

called = []

def first(**kwargs):
    called.append("first")

def second(**kwargs):
    called.append("second")

def sent(signal, sender=Order, **payload):
    called.clear()
    signal.send(sender=sender, **payload)
    return list(called)
"""
