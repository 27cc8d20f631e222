"""Golden inputs from files, random numbers or a function of the project."""
