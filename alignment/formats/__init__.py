"""Formats that users bring and take away: one small module each, one table of them all."""
