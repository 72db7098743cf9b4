"""The conversion worker: a program of its own that runs under any interpreter which has docling.

`PYTHON <this folder> JOBDIR` runs the job in JOBDIR. Only the standard library, docling and the models'
libraries are used here, cachetop itself is not: the interpreter may be another one than cachetop's, and
as old as Python 3.10. The modules are loaded as `cachetop_worker`, see `__main__`.
"""
