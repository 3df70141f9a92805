"""The four services, a file each."""
