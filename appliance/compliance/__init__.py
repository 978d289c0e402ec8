"""What an authority, an auditor or a data protection officer asks for, answered by looking."""
