"""The program: input and output, time, policy, keys, files, database, command line."""
