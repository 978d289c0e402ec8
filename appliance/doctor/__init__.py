"""Is this tap good? Findings in plain words about a mirror, a capture and the box, each with what to do."""
