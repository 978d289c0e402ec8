"""Time stamps of third parties (RFC 3161) over the ledger's checkpoints."""
