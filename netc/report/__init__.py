"""A run as one page, `report.html`, and its pictures as files; nothing in here needs the network or a library."""
