"""The two services, a file each."""
