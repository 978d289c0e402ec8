"""Requests of persons about what is recorded of them (GDPR Art. 12 to 21)."""
