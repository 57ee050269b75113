"""A stand-in for vLLM: its server's protocol over HTTP, and the few names of its package that TRL's client imports."""
