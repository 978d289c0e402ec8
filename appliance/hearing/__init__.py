"""What is heard in a voice: prompts, tones, speech. Arithmetic over samples, without files, keys or network."""
