"""What several tests need: fixtures, databases, processes and a plain model of the outbox."""
