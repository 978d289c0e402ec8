"""What happens now: calls, pauses, alarms and how the recorder is doing, as they come about."""
