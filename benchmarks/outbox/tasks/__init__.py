"""The work of each system for an order, written as that system has it."""
