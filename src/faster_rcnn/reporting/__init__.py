"""What people read: pages, curves and pictures."""
