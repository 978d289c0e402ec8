"""The sealed recording: format, keys, ledger, manifest, verification."""
