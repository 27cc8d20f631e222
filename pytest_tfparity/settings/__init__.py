"""What is to be checked, and what may be written where: manifest, marker, ini values and options."""
