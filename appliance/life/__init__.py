"""What becomes of a recording after it was sealed: holds, locks, expiry, erasure, restriction, correction."""
