"""What this machine's clock says about itself: how far it may be from UTC, and who keeps it right."""
