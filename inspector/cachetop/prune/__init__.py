"""Pruning: the only room that deletes.

A plan lists what would go, why, what it frees and what is blocked (`plan`, from `kernels` and `models`). Executing it
(`execute`) checks every item again and renames it into a trash folder of the same file system; `undo` renames it back
while the trash holds it; `trash` unlinks later. `journal` says before and after each step what happens, so that
`recover` can finish or take back whatever a killed process left.
"""
