"""The benchmarks: Heliograph beside the other dispatchers of Python."""
