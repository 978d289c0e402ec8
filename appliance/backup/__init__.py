"""Backups: a copy of an archive elsewhere, kept up to date, tried out, and brought back."""
