"""The management API: HTTP over TLS, for PBX, console and scripts. It may fail; recording goes on without it."""
