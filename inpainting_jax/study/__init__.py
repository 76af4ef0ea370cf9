"""Studies with human observers: prepared, served to a browser, analysed."""
