"""The team's pages: what labels come to, computed beside the server and kept for a while."""
