"""Files that lie elsewhere: URLs in the place of paths, and the copies of what they name."""
