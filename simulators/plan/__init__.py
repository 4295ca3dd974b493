"""What is sent, by whom and when: pure functions of a seed and a start."""
