"""SIP and SDP: messages, framing, dialogs, offer and answer (RFC 3261, 3264, 8866)."""
