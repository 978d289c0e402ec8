"""What recordings are searched by: a narrow row for each call, and searches over those rows."""
