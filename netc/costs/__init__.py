"""What a step of training takes on each of several processes: memory, and bytes that are sent."""
