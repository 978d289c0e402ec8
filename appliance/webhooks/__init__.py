"""Telling others what happens: signed, tried again, and never to where their writer may not reach."""
