"""What a rule says of the values that it looks at: one file for each kind of rule. Pure."""
