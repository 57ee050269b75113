"""The loop: gates, what to label next, and what carries a round from new rankings to a champion."""
