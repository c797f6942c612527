"""The versions that Heliograph supports."""

PYTHONS = ("3.11", "3.12", "3.13", "3.14")
# CI has these; a newer one is tested where it is found.
REQUIRED_PYTHONS = ("3.11", "3.12", "3.13")

# Each Django on the Pythons that it supports itself.
SUPPORTED = {
    "5.2": ("3.11", "3.12", "3.13", "3.14"),
    "6.0": ("3.12", "3.13", "3.14"),
    "6.1": ("3.12", "3.13", "3.14"),
}
NEWEST_DJANGO = "6.1"
# The Python that runs what needs only one: it has every supported Django.
COMMON_PYTHON = "3.12"
