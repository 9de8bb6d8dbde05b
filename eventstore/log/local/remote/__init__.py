"""A second process on an embedded log: it asks the owner over a socket (rule B). `messages` has the wire format."""
