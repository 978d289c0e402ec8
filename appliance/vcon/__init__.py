"""vCon (draft-ietf-vcon-vcon-core-03): what a call was, as JSON that other programs read."""
