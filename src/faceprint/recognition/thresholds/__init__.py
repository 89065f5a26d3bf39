"""Where a score becomes a decision: operating points, search thresholds, merge thresholds."""
