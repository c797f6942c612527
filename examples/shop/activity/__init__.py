"""What happened in the shop, in words."""
