"""What is done to the table again and again: a list of chores, and the loop that does them."""
