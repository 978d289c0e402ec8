"""The keys of an archive: root, epochs, buckets, providers, shares, backup, rotation, and their process."""
