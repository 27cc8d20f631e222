"""What one array may be of another: rounded, rearranged, cut, scaled, mixed; decided by bits or by their rounding."""
