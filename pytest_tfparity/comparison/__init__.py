"""Numbers: what a tolerance allows, and how two arrays compare under it."""
