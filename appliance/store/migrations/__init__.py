"""Steps that bring an older catalogue up to date; run by database.py, never by hand."""
