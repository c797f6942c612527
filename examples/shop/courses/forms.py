"""The form of a teacher."""

from django import forms


class CourseForm(forms.Form):
    """A new course, with a line for each lesson."""

    title = forms.CharField(max_length=100)
    summary = forms.CharField(widget=forms.Textarea(attrs={"rows": 3}))
    lessons = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 5}), help_text="A line for each lesson, with its title."
    )

    def clean_lessons(self) -> list[tuple[str, str]]:
        """Return the titles of the lessons, which have no texts yet."""
        return [(line.strip()[:100], "") for line in self.cleaned_data["lessons"].splitlines() if line.strip()]
