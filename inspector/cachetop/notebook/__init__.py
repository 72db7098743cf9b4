"""The notebook: `%load_ext cachetop`, cell reports, rich display, conversions and a live view in a cell.

Nothing here imports IPython before a notebook loads the extension, and nothing ever imports torch or Triton.
"""
