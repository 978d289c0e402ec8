"""The only process with a capability: it opens rings for a recorder that has none, and reads no packet."""
