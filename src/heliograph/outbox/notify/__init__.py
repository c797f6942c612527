"""What a backend is, and how one is notified of deliveries after a commit."""
