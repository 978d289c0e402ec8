"""Hearing recordings over API and console: decoded in processes of their own, entered in the trail."""
