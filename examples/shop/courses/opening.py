"""The courses that are there from the beginning; all of them are invented."""

from django.contrib.auth.models import User
from django.db import transaction

from courses import services

# Title, summary, titles of the lessons.
COURSES = [
    (
        "Reading the Sky",
        "What clouds, wind and light say about tomorrow, for people without instruments.",
        ["High clouds", "The wind turns", "Red in the morning"],
    ),
    (
        "Mirrors and Light",
        "How a flash of sunlight carries a message over sixty miles, and how it is aimed.",
        ["The sun as a lamp", "Two mirrors and a shutter", "Aiming", "A message in Morse code"],
    ),
    ("Bread in a Cold Kitchen", "Slow dough for patient people.", ["Flour and water", "Overnight"]),
]
TEXT = (
    "Read this slowly, look out of the window, and read it again. What you have seen yourself you will not forget;"
    " what you have only read is gone by Thursday. When you are done, say so below."
)


@transaction.atomic
def open_school(teacher: User) -> None:
    """Create the courses, all given by one teacher."""
    for title, summary, lessons in COURSES:
        services.give(teacher, title, summary, [(name, TEXT) for name in lessons])
