"""What goes wrong with devices, repeatable from the seed. Pure."""
