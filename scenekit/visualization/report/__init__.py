"""The report in one HTML file."""
