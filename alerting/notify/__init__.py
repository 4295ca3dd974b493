"""Who is told of an alert, when, in which words, and that they were."""
