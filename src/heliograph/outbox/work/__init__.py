"""From the row to the outcome: deliveries are claimed, receivers called, and outcomes recorded."""
