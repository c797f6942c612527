"""Tests of Django's signals as this dispatcher runs them."""
