"""Huoshui 活水: a clearing house for small business."""
