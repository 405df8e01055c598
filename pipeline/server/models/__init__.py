"""`dragoman serve-models`: models for the hosts of other nodes, and for the workers of this one."""
