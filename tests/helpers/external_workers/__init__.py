"""A project whose deliveries are made by the workers of Celery and of Django's tasks."""
