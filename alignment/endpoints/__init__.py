"""Responses from a server that speaks OpenAI's protocol, hosted or one's own: `align sample --endpoint URL`."""
