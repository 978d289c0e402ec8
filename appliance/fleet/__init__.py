"""Several recorders that share a catalogue in PostgreSQL: each sends what is new in its own, all are searched."""
