"""What every test shares."""

from hypothesis import settings

# Cells of the matrix share the processors, so a slow example says nothing about the code.
settings.register_profile("heliograph", deadline=None)
settings.load_profile("heliograph")
