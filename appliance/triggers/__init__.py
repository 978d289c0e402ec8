"""What a PBX says on its own control channel, as pause and resume triggers for the recorder."""
