"""Nine patterns as tutorials show them, and ours beside each: `as_written()` connects the one, `ours()` the other."""
