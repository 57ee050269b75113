"""Reports: what runs left on disk, as one page that a person can read."""
