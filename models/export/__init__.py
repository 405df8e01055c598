"""The export of the trunk: float32 weights in, an int8 ONNX graph and its weights out."""
