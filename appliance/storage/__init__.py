"""Copies of sealed recordings elsewhere: on a second path, or in an S3-compatible store."""
