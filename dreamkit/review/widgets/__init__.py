"""Widgets of the review: board, player, and the pictures and plots that they and the report show.

Each widget is a Python class (`board.py`, `player.py`) and a JavaScript module of the same name; begin with `board.py`.
`traits.py` checks the data sent to the browser, `shared.js` is used by both pages. May import what review may.
"""
