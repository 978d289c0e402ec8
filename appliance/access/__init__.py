"""Who may see and do what: scopes, profiles, and the one place where they are asked."""
