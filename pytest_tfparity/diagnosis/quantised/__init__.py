"""What the integers of an export do to a network that is otherwise right: ranges, zero points, scales."""
