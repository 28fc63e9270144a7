"""Every write of the schema `access`, one module per noun."""
