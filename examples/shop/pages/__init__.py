"""What the applications share: their index, the look of their pages, and the flow beside each action."""
