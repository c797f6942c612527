"""Random visitors of the applications: what they do, and how much of it they take back."""
