"""The way in for whoever changes something: command line, API and console do it through the same operations."""
