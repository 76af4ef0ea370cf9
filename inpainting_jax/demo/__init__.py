"""What shows the library at work: the tour behind `make demo`."""
