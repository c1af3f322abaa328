"""A detector as one graph of tensors, and that graph as a file for other runtimes: ONNX, OpenVINO, torch.export."""
