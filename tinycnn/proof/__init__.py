"""Floor 7: the library's own proof: every operation, function, layer and random small networks,
over generated cases, on every backend. `tinycnn gradcheck` prints it as a table.
"""
