"""The HTTP interface: routes, what they take and what they answer."""
