"""Voices decoded while their calls last, in processes of their own: without network, keys or files."""
