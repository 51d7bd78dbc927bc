"""Pages of docs/ that are written from data: one per recipe, their index, the reference of inventories."""
