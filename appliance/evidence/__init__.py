"""Evidence bundles: a recording with all that a stranger needs to check it, without this program."""
