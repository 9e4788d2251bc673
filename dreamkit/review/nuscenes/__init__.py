"""Accepted videos as a data set in nuScenes' form: tables, pictures, boxes, maps.

Begin with `dataset.py`, which writes the folder; `tables.py` holds its records, `annotations.py` the boxes,
`street_map.py` the map, `pictures.py` the frames. May import what review may, but no widget.
"""
