"""Networks of learned feedback: tensors in, tensors out, nothing of the simulator."""
