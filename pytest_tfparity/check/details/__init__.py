"""What the pictures of a report need, computed where both sides are still open, only if a report is asked for."""

from .parts import details_of as details_of
