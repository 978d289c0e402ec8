"""Review of recordings: plans say how many, a draw that nobody can choose says which, scorecards say how."""
