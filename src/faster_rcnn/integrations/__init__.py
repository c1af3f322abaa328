"""Doors to other tools: FiftyOne, CVAT and the Hugging Face Hub; each is imported only when it is used."""
