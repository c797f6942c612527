"""The forms of registration, of the profile and of preferences."""

from django import forms
from django.contrib.auth.forms import UserCreationForm
from django.contrib.auth.models import Group, User

from onboarding.models import Preferences, Profile
from onboarding.roles import ROLES


class RegistrationForm(UserCreationForm):
    """A new user, with the roles that somebody who tries the demonstration wants to have."""

    email = forms.EmailField(help_text="Mails stay on this machine: invent one.")
    groups = forms.ModelMultipleChoiceField(
        Group.objects.filter(name__in=ROLES),
        required=False,
        label="You are also one of the",
        widget=forms.CheckboxSelectMultiple,
        help_text="In this demonstration everybody chooses. A site would not ask.",
    )

    class Meta:
        model = User
        fields = ["username", "email"]

    def save(self, commit: bool = True) -> User:
        """Create the user, and then join the groups."""
        user = super().save(commit)
        user.groups.set(self.cleaned_data["groups"])
        return user


class ProfileForm(forms.ModelForm):
    """How a user appears to others."""

    class Meta:
        model = Profile
        fields = ["name", "about"]
        widgets = {"about": forms.Textarea(attrs={"rows": 3})}


class PreferencesForm(forms.ModelForm):
    """The preferences of a user."""

    class Meta:
        model = Preferences
        fields = ["newsletter", "mails_of_mentions"]
