"""The report's drawings: SVG written by hand, with real text in both languages and values to point at."""
