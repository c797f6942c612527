"""The demonstration: real purchases replayed through the shop, and every number checked."""
