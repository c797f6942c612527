"""What each system does for an order, in its own words."""
