"""The interpreters: of a float network, and of an integer graph on many samples."""
