"""Packets in, call events out: everything between the wire and the recording, pure but for its two edges."""
