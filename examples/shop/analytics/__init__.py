"""What the shop knows about its sales."""
