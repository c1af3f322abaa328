"""The paper's box arithmetic as pure functions on the tensors of one image; float32 boxes in continuous pixels."""
