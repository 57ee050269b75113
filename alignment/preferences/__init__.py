"""The preference store: prompts, responses, tasks, leases, label events, snapshots. The only SQL of the house."""
