"""What becomes of a recording once it is sealed: how long it is locked and kept, and on what ground it was made."""
