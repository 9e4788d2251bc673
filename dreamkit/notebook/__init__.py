"""What a notebook's page needs."""
