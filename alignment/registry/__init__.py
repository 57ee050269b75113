"""The registry: models as artifacts that never change, versions and aliases that move over them, and who moved them."""
