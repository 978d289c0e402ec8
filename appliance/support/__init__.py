"""What can be sent to those who help: configuration, state, log and a call, without what nobody else may know."""
