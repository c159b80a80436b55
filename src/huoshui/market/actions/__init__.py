"""Every write of the supermarket: products, carts, orders, billing."""
