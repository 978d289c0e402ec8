"""The canary call: a call of our own through the capture path, and whether it was recorded as it should be."""
