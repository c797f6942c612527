"""The form of whoever pays."""

from django import forms

from payments.models import Card


class CardForm(forms.Form):
    """The card with which somebody pays."""

    card = forms.ChoiceField(choices=Card)
