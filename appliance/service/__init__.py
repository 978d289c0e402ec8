"""Running as a service: what the service manager is told, and what it keeps for the next start."""
