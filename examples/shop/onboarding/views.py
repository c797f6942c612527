"""Register, sign in, and change a profile."""

from typing import Any

from django.contrib import messages
from django.contrib.auth import authenticate, login
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.decorators import login_required
from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.generic import ListView

from onboarding.forms import PreferencesForm, ProfileForm, RegistrationForm
from onboarding.models import Activity


@transaction.atomic
def register(request: HttpRequest) -> HttpResponse:
    """Create a user, with all that a user has, and sign the user in: all of it or nothing."""
    form = RegistrationForm(request.POST or None)
    if request.method == "POST" and (user := _registered(request, form)):
        login(request, user)
        messages.success(request, f"Welcome, {user}! A mail is on its way to {user.email}.")
        return redirect("onboarding:profile")
    return render(request, "onboarding/register.html", {"form": form})


def _registered(request: HttpRequest, form: RegistrationForm) -> AbstractBaseUser | None:
    """Return the new user, or the user whom an earlier click on the same button has registered."""
    if form.is_valid():
        try:
            with transaction.atomic():
                return form.save()
        except IntegrityError:
            form.add_error("username", "Somebody has taken this name just now.")
    return authenticate(request, username=form.data.get("username"), password=form.data.get("password1"))


@login_required
@transaction.atomic
def profile(request: HttpRequest) -> HttpResponse:
    """Show what belongs to the user, and store what the user changes."""
    user, data = request.user, request.POST or None
    forms = [ProfileForm(data, instance=user.profile), PreferencesForm(data, instance=user.preferences)]
    if request.method == "POST" and not any(form.errors for form in forms):
        for form in forms:
            form.save()
        messages.success(request, "Your profile is stored.")
        return redirect("onboarding:profile")
    return render(request, "onboarding/profile.html", {"forms": forms, "activities": user.activities.all()[:12]})


class ActivityView(ListView):
    """Show the newest rows of the activity log."""

    template_name = "onboarding/activity.html"
    queryset = Activity.objects.select_related("user")
    paginate_by = 30

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Add how many there are."""
        return super().get_context_data(users=Activity.objects.values("user").distinct().count(), **kwargs)
