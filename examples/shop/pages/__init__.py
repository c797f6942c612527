"""The common parts of the applications: their index, the look of their pages, and the flow beside each action."""
