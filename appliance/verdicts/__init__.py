"""Verdicts on announcements: what was heard in a call, what a rule wanted, and what follows from the two."""
