"""Numbers of deliveries in words."""


def counted(count: int) -> str:
    """Return `1 delivery`, or `7,314 deliveries`."""
    return f"{count:,} {'delivery' if count == 1 else 'deliveries'}"
