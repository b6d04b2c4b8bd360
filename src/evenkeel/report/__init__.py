"""Reports: what people see of a network and a run. Nothing here computes or judges."""
