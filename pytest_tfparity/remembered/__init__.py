"""What earlier runs have found out, remembered by content: hashes of files, verdicts of checks."""
