"""Calls that are heard while they last: from the worker's tap over a decoder of its own to who listens."""
