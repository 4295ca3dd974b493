"""What crosses a process boundary: messages, names, and the rules that every service keeps."""
