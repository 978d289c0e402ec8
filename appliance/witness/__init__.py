"""Checkpoints of the ledger, carried to where this machine's administrator cannot take them back."""
