"""Every write of the desk."""
