"""Reference announcements: what is kept of them, how they come in, and how they are tried."""
