"""The courses: lessons, progress, and a certificate for whoever finishes them."""
