"""Readers of COCO, VOC, YOLO and CSV."""
