"""Onboarding: registration, and what each new user has from then on."""
