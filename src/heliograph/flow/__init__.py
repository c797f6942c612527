"""What happens on save: the parts that show it."""
