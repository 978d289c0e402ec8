"""What is read out of one recording for somebody: done by a process of its own, that ends when it is done."""
