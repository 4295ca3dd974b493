"""What a rule would have done: it is run over history, with a clock that goes as the readings do."""
