"""The engine: compiled training loops over pure functions.

`plan` fixes what to do, `state` is what survives a step, `step` is one step, `epoch` compiles
many, `fit` is the loop around them. It knows nothing of models, callbacks' meaning, or judgement.
"""
