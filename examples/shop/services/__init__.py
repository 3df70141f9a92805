"""The services of the shop, each with its own database."""
