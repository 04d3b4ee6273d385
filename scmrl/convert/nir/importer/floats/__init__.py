"""A NIR graph as a float network: what its nodes, under a framework's convention, compute."""
