"""`align data check`: what is wrong, doubtful or worth knowing in a file of records, with line numbers."""
