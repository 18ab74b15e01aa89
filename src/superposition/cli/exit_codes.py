"""What the program says to a shell."""

DONE, FAILED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130
